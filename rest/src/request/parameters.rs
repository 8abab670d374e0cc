//! What stands behind the question mark.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Query};
use config::nearest;
use http::{Uri, request::Parts};

use crate::problem::Problem;

/// The parameters of a request, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Those of a request to `uri`.
    pub(crate) fn of(uri: &Uri) -> Self {
        Query::try_from_uri(uri).map(|Query(pairs)| Self(pairs)).unwrap_or_default()
    }

    /// The value of a parameter; if it is given twice, the last.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns whether a parameter is there, with a value or without.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns whether a parameter is `true`.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The parameters of an operation of Godwit's own, which takes these and no others, each once and with a value.
    ///
    /// A real server ignores what it does not know, and tools rely on that. Here a limit that is mistyped would be no
    /// limit.
    ///
    /// # Errors
    ///
    /// If another one is there, or one of them is empty or given twice.
    pub(crate) fn only(
        &self,
        operation: &str,
        known: &'static [&'static str],
    ) -> Result<OwnParameters<'_>, Problem> {
        for (name, _) in &self.0 {
            let is_known = |known: &[&str]| known.contains(&name.as_str());
            if !is_known(known) && !is_known(&OF_EVERY_OPERATION) {
                return Err(unknown(operation, name, known));
            }
            if self.single(name)?.is_some_and(str::is_empty) {
                let text = format!("'{name}' is empty: give it a value, or leave it out");
                return Err(Problem::bad_request(text));
            }
        }
        Ok(OwnParameters { all: self, known })
    }

    /// The value of a parameter that must not be given twice.
    fn single(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (Some(one), Some(other)) => {
                let text = format!("'{name}' is given twice, as \"{one}\" and as \"{other}\"");
                Err(Problem::bad_request(text))
            }
            (value, _) => Ok(value),
        }
    }

    /// Returns whether a parameter of Godwit's own is `true`.
    ///
    /// # Errors
    ///
    /// If it is neither `true` nor `false`, or given twice: what it was meant to decide must not be guessed.
    pub(crate) fn decides(&self, name: &str) -> Result<bool, Problem> {
        match self.single(name)? {
            None => Ok(false),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
            Some(value) => {
                let text = format!("'{name}' is \"{value}\"; it has to be true or false");
                Err(Problem::bad_request(text))
            }
        }
    }

    /// What is to be done with the resource, if it is not what the method says.
    ///
    /// # Errors
    ///
    /// If there is an action without a name.
    pub(crate) fn action(&self) -> Result<Option<&str>, Problem> {
        match self.all("action").next() {
            Some("") => Err(Problem::bad_request("Invalid action")),
            action => Ok(action),
        }
    }

    /// Refuses an action where the method alone says what is to be done, as a real server does.
    ///
    /// # Errors
    ///
    /// If there is one.
    pub(crate) fn no_action(&self) -> Result<(), Problem> {
        match self.action()? {
            None => Ok(()),
            Some(_) => Err(Problem::unknown_action()),
        }
    }

    /// A whole number; an empty value is none.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i32>, Problem> {
        let Some(text) = self.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let number = text.parse();
        number.map(Some).map_err(|_not_a_number| not_a_number(text))
    }

    /// A whole number from 1 on.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub(crate) fn positive(&self, name: &str) -> Result<Option<u32>, Problem> {
        let Some(number) = self.number(name)? else { return Ok(None) };
        match u32::try_from(number) {
            Ok(1..) => Ok(Some(number.unsigned_abs())),
            Ok(0) | Err(_) => Err(Problem::illegal(name, number)),
        }
    }
}

/// Parameters that every operation takes: which one is meant, and how its answer is written.
const OF_EVERY_OPERATION: [&str; 2] = ["action", "pretty"];

/// The parameters of an operation of Godwit's own: none that is unknown, empty, or given twice.
pub(crate) struct OwnParameters<'a> {
    all: &'a Parameters,
    known: &'static [&'static str],
}

impl OwnParameters<'_> {
    /// Returns whether a parameter is `true`.
    ///
    /// # Errors
    ///
    /// If it is neither `true` nor `false`.
    pub(crate) fn decides(&self, name: &str) -> Result<bool, Problem> {
        self.of(name).decides(name)
    }

    /// Returns whether the answer is for people to read.
    pub(crate) fn pretty(&self) -> bool {
        self.all.is_true("pretty")
    }

    /// A whole number from 1 on, as a real server takes it.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub(crate) fn positive(&self, name: &str) -> Result<Option<u32>, Problem> {
        self.of(name).positive(name)
    }

    /// A large number.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub(crate) fn large(&self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.of(name).get(name) else { return Ok(None) };
        let number = text.parse();
        number.map(Some).map_err(|_not_a_number| {
            let text = format!("'{name}' is \"{text}\"; it has to be a whole number");
            Problem::bad_request(text)
        })
    }

    fn of(&self, name: &str) -> &Parameters {
        assert!(self.known.contains(&name), "every parameter that is read is known: {name}");
        self.all
    }
}

/// An operation has no such parameter.
fn unknown(operation: &str, name: &str, known: &'static [&'static str]) -> Problem {
    let instead = match (nearest(name, known), known) {
        (Some(nearest), _) => format!("did you mean '{nearest}'?"),
        (None, []) => "it takes none".to_owned(),
        (None, known) => format!("it takes {}", known.join(", ")),
    };
    Problem::bad_request(format!("'{name}' is not a parameter of {operation}; {instead}"))
}

/// A text that should be a number is none.
pub(crate) fn not_a_number(text: &str) -> Problem {
    Problem::bad_request(format!("For input string: \"{text}\""))
}

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.uri))
    }
}

#[cfg(test)]
mod tests {
    //! What clients write behind the question mark.

    use super::*;

    fn parameters(query: &str) -> Parameters {
        Parameters::of(&format!("/v2/caches/c?{query}").parse().unwrap())
    }

    #[test]
    fn the_first_action_and_the_last_value_count() {
        let parameters = parameters("action=keys&limit=1&action=x&limit=2&extended&name=a+b%20c");
        assert_eq!(parameters.action().unwrap(), Some("keys"));
        assert_eq!(parameters.number("limit").unwrap(), Some(2));
        assert!(parameters.has("extended") && !parameters.has("nothing"));
        assert_eq!(parameters.get("name"), Some("a b c"));
    }

    #[test]
    fn what_decides_is_true_or_false() {
        let parameters = parameters("a=true&b=False&c&d=maybe&e=1&f=true&f=true");
        let decides = |name: &str| parameters.decides(name);
        assert_eq!(
            (decides("a"), decides("b"), decides("nothing")),
            (Ok(true), Ok(false), Ok(false))
        );
        let text = decides("d").unwrap_err().text;
        assert_eq!(text, "'d' is \"maybe\"; it has to be true or false");
        assert!(decides("c").is_err() && decides("e").is_err() && decides("f").is_err());
    }

    #[test]
    fn numbers_are_refused_as_the_real_server_refuses_them() {
        let parameters = parameters("a=x&b=0&c=-1&d=&e=99999999999&f=7");
        let text = |name: &str| parameters.positive(name).unwrap_err().text;
        assert_eq!(text("a"), "For input string: \"x\"");
        assert_eq!(text("b"), "ISPN012023: Argument 'b' has illegal value '0'");
        assert_eq!(text("c"), "ISPN012023: Argument 'c' has illegal value '-1'");
        assert_eq!(parameters.positive("d"), Ok(None));
        assert_eq!(text("e"), "For input string: \"99999999999\"");
        assert_eq!(parameters.positive("f"), Ok(Some(7)));
    }

    const KNOWN: &[&str] = &["entries-per-second", "threads", "repair"];

    #[test]
    fn large_numbers_are_whole_and_not_negative() {
        let large = |value: &str| {
            let parameters = parameters(&format!("action=verify&entries-per-second={value}"));
            let own = parameters.only("verify", KNOWN).unwrap();
            own.large("entries-per-second").map_err(|problem| problem.text)
        };
        assert_eq!(large("99999999999"), Ok(Some(99_999_999_999)));
        let text = "'entries-per-second' is \"-1\"; it has to be a whole number";
        assert_eq!(large("-1"), Err(text.to_owned()));
        assert!(large("1.5").is_err());
        let none = parameters("action=verify");
        assert_eq!(none.only("verify", KNOWN).unwrap().large("entries-per-second"), Ok(None));
    }

    #[test]
    fn operations_of_our_own_take_their_parameters_once_and_no_others() {
        for (query, wanted) in [
            (
                "entries-per-secnd=5",
                "'entries-per-secnd' is not a parameter of verify; did you mean 'entries-per-second'?",
            ),
            (
                "entries_per_second=5",
                "'entries_per_second' is not a parameter of verify; did you mean 'entries-per-second'?",
            ),
            (
                "entriesPerSecond=5",
                "'entriesPerSecond' is not a parameter of verify; did you mean 'entries-per-second'?",
            ),
            (
                "_=17",
                "'_' is not a parameter of verify; it takes entries-per-second, threads, repair",
            ),
            ("=5", "'' is not a parameter of verify; it takes entries-per-second, threads, repair"),
            ("threads=", "'threads' is empty: give it a value, or leave it out"),
            ("repair", "'repair' is empty: give it a value, or leave it out"),
            ("threads=1&threads=2", "'threads' is given twice, as \"1\" and as \"2\""),
            ("action=cancel", "'action' is given twice, as \"verify\" and as \"cancel\""),
        ] {
            let parameters = parameters(&format!("action=verify&{query}"));
            let problem = parameters.only("verify", KNOWN).err().unwrap();
            assert_eq!((problem.status.as_u16(), problem.text.as_str()), (400, wanted), "{query}");
        }
        let parameters = parameters("action=verify&threads=3&repair=true&pretty=true");
        let own = parameters.only("verify", KNOWN).unwrap();
        assert_eq!((own.positive("threads"), own.decides("repair")), (Ok(Some(3)), Ok(true)));
        let text = parameters.only("pause", &[]).err().unwrap().text;
        assert_eq!(text, "'threads' is not a parameter of pause; it takes none");
    }

    #[test]
    fn an_action_has_a_name() {
        assert_eq!(parameters("action=").action().unwrap_err().text, "Invalid action");
        assert_eq!(parameters("").action(), Ok(None));
    }
}
