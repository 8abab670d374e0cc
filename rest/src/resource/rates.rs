//! How fast jobs may be, as requests say it.

use config::nearest;
use migrate::Rates;
use serde_json::{Map, Value};

use crate::{problem::Problem, request::OwnParameters};

/// What is said of rates that a running job gets without any.
const NO_RATES: &str = "give entries-per-second or bytes-per-second, as parameters or as JSON such as \
                        {\"entriesPerSecond\": 1000}; {} lifts all limits";

/// The rates that a job shall keep to from its beginning, if the request gives any.
///
/// # Errors
///
/// If nothing could ever be copied, or a rate is no number.
pub(super) fn given(parameters: &OwnParameters<'_>) -> Result<Option<Rates>, Problem> {
    let rates = Rates {
        entries_per_second: parameters.large("entries-per-second")?,
        bytes_per_second: parameters.large("bytes-per-second")?,
    };
    if rates.is_unlimited() { Ok(None) } else { checked(rates).map(Some) }
}

/// The rates that a running job shall keep to: those of the parameters, or else of the content.
///
/// # Errors
///
/// If nothing could ever be copied, if they are not described as they have to be, or if there are none.
pub(super) fn wanted(parameters: &OwnParameters<'_>, content: &[u8]) -> Result<Rates, Problem> {
    let content = content.trim_ascii();
    match given(parameters)? {
        None if content.is_empty() => Err(Problem::bad_request(NO_RATES)),
        None => described(content),
        Some(rates) if content.is_empty() => Ok(rates),
        Some(_) => {
            let text = "rates are given as parameters and in the content: leave out one of them";
            Err(Problem::bad_request(text))
        }
    }
}

/// The rates in the content of a request; `null` is no limit.
///
/// # Errors
///
/// If nothing could ever be copied, or they are not described as they have to be.
pub(crate) fn described(content: &[u8]) -> Result<Rates, Problem> {
    config::check_json(content)?;
    let members: Map<String, Value> =
        serde_json::from_slice(content).map_err(|_not_an_object| Problem::bad_request(NO_RATES))?;
    let mut rates = Rates::default();
    for (name, value) in &members {
        let rate = match name.as_str() {
            "entriesPerSecond" => &mut rates.entries_per_second,
            "bytesPerSecond" => &mut rates.bytes_per_second,
            name => return Err(unknown(name)),
        };
        *rate = match value {
            Value::Null => None,
            value => Some(value.as_u64().ok_or_else(|| {
                let text = format!("'{name}' is {value}; it has to be a whole number, or null");
                Problem::bad_request(text)
            })?),
        };
    }
    checked(rates)
}

fn unknown(name: &str) -> Problem {
    let names = ["entriesPerSecond", "bytesPerSecond"];
    let instead = match nearest(name, &names) {
        Some(nearest) => format!("did you mean '{nearest}'?"),
        None => NO_RATES.to_owned(),
    };
    Problem::bad_request(format!("'{name}' is not a rate; {instead}"))
}

fn checked(rates: Rates) -> Result<Rates, Problem> {
    if rates.is_standstill() {
        return Err(Problem::bad_request("a rate of 0 copies nothing: pause instead"));
    }
    Ok(rates)
}

#[cfg(test)]
mod tests {
    //! What operators are told of rates that they have mistyped.

    use super::*;

    #[test]
    fn rates_are_whole_numbers_or_null_and_anything_else_is_named() {
        for (content, entries_per_second, bytes_per_second) in [
            ("{}", None, None),
            (r#"{"entriesPerSecond": 5}"#, Some(5), None),
            (r#"{"entriesPerSecond": null, "bytesPerSecond": 7}"#, None, Some(7)),
        ] {
            let rates = Rates { entries_per_second, bytes_per_second };
            assert_eq!(described(content.as_bytes()), Ok(rates), "{content}");
        }
        for (content, text) in [
            (
                r#"{"entriesPerSecnd": 5}"#,
                "'entriesPerSecnd' is not a rate; did you mean 'entriesPerSecond'?",
            ),
            (
                r#"{"entries-per-second": 5}"#,
                "'entries-per-second' is not a rate; did you mean 'entriesPerSecond'?",
            ),
            (
                r#"{"entriesPerSecond": "5"}"#,
                "'entriesPerSecond' is \"5\"; it has to be a whole number, or null",
            ),
            (
                r#"{"bytesPerSecond": -1.5}"#,
                "'bytesPerSecond' is -1.5; it has to be a whole number, or null",
            ),
            (r#"{"bytesPerSecond": 0}"#, "a rate of 0 copies nothing: pause instead"),
        ] {
            assert_eq!(described(content.as_bytes()).unwrap_err().text, text);
        }
        for (content, part) in
            [("[1]", "[1,1]: here has to be an object"), ("{", "[1,2]: the document ends")]
        {
            let text = described(content.as_bytes()).unwrap_err().text;
            assert!(text.starts_with("Invalid JSON at ") && text.contains(part), "{text}");
        }
    }
}
