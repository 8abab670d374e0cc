//! Which pages of other origins may use the REST interface, as Infinispan has it.

use crate::{fields::Fields, notes::Notes, tree::Element};

/// What pages of some origins may do. The first rule that is about an origin counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorsRule {
    /// Name.
    pub name: String,
    /// The origins that it is about; none is every origin.
    pub origins: Vec<String>,
    /// Whether browsers may send credentials.
    pub credentials: bool,
    /// Seconds for which browsers may remember what is allowed.
    pub max_age: u64,
    /// Methods that are allowed.
    pub methods: Vec<String>,
    /// Headers that requests may have.
    pub headers: Vec<String>,
    /// Headers of answers that pages may see.
    pub expose: Vec<String>,
}

/// Reads rules: elements that are called `cors-rule`, or by the name of a rule. In JSON, each member of
/// a list is one itself.
pub(crate) fn read(element: &Element, notes: &mut Notes) -> Vec<CorsRule> {
    if !element.attributes.is_empty() {
        return vec![rule(element, notes)];
    }
    let rules = element.children.iter().map(|rule| self::rule(rule, notes)).collect();
    Fields::of(element, notes).finish_except(|_| true);
    rules
}

fn rule(element: &Element, notes: &mut Notes) -> CorsRule {
    let mut fields = Fields::of(element, notes);
    let named = fields.text("name").map_or(&element.spelled, |name| &name.value);
    let mut rule = CorsRule { name: named.clone(), ..CorsRule::default() };
    rule.credentials = fields.flag("allow-credentials").unwrap_or_default();
    rule.max_age = fields.number("max-age-seconds", 0..=u64::MAX).unwrap_or_default();
    let origins =
        fields.words("allowed-origins", is_origin, "* or origins such as http://app.example.org");
    if origins.iter().any(|origin| origin == "*") {
        if origins.len() > 1 {
            let what = "'allowed-origins': with * among them, every origin is allowed";
            fields.notes.ignore(what, element.place);
        }
    } else {
        rule.origins = origins;
    }
    rule.methods = fields.words("allowed-methods", is_token, "methods such as GET");
    rule.headers = fields.words("allowed-headers", is_token, "names of headers");
    rule.expose = fields.words("expose-headers", is_token, "names of headers");
    fields.finish();
    rule
}

fn is_origin(word: &str) -> bool {
    let named = word.split_once("://").is_some_and(|(scheme, rest)| {
        is_token(scheme) && !rest.is_empty() && !rest.contains(['/', '?', '#'])
    });
    (named || word == "*" || word == "null") && word.bytes().all(|byte| byte.is_ascii_graphic())
}

/// RFC 9110, 5.6.2.
fn is_token(word: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !word.is_empty() && word.bytes().all(is_letter)
}
