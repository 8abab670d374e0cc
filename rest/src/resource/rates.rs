//! How fast jobs may be, as requests say it.

use migrate::Rates;

use crate::{problem::Problem, request::Parameters};

/// The rates that a job shall keep to from its beginning, if the request gives any.
///
/// # Errors
///
/// If nothing could ever be copied, or a rate is no number.
pub(super) fn given(parameters: &Parameters) -> Result<Option<Rates>, Problem> {
    let rates = Rates {
        entries_per_second: parameters.large("entries-per-second")?,
        bytes_per_second: parameters.large("bytes-per-second")?,
    };
    if rates.is_unlimited() { Ok(None) } else { checked(rates).map(Some) }
}

/// The rates that a running job shall keep to, as the body of a request gives them.
///
/// # Errors
///
/// If nothing could ever be copied, or they are not described as they have to be.
pub(super) fn described(content: &[u8]) -> Result<Rates, Problem> {
    checked(serde_json::from_slice(content).map_err(Problem::bad_request)?)
}

fn checked(rates: Rates) -> Result<Rates, Problem> {
    if rates.is_standstill() {
        return Err(Problem::bad_request("a rate of 0 copies nothing: pause instead"));
    }
    Ok(rates)
}
