//! Which operations are repeated.

use std::time::Duration as StdDuration;

use hotrod::ServerAddress;

use super::*;
use crate::{common::Common, config::ClientConfig, error::AnswerError, notice::Notices};

fn server() -> Arc<Server> {
    let address = ServerAddress { host: "a".into(), port: 1 };
    let common = Common::new(ClientConfig::new([]), Notices::default());
    Server::new(address, Arc::new(common))
}

fn decided(failure: Failed, reads: bool) -> (bool, String) {
    let deadline = Deadline { at: tokio::time::Instant::now(), after: StdDuration::from_secs(2) };
    let ask = Ask {
        route: Route::Any,
        cache: None,
        formats: &MediaTypes::NONE,
        flags: 0,
        reads,
        wants_topology: false,
        deadline,
    };
    match decide(failure, "OP", ask, &server()) {
        Next::Elsewhere(error) => (true, error.to_string()),
        Next::Fail(error) => (false, error.to_string()),
    }
}

#[test]
fn a_change_is_repeated_only_if_it_was_certainly_not_made() {
    let unanswered = |unanswered| Failed::Unanswered(Failure::Unanswered(unanswered));
    let unsent = || unanswered(Unanswered::Unsent(ConnectionError::Ended));
    let sent = || unanswered(Unanswered::Sent(ConnectionError::Ended));
    let lost = "the connection to a:1 ended before OP was answered".to_owned();
    let in_doubt =
        "the connection to a:1 ended, and whether OP was carried out is unknown".to_owned();
    assert_eq!(decided(unsent(), true), (true, lost.clone()));
    assert_eq!(decided(unsent(), false), (true, lost.clone()));
    assert_eq!(decided(sent(), true), (true, lost));
    assert_eq!(decided(sent(), false), (false, in_doubt));
}

#[test]
fn a_server_that_did_nothing_is_not_the_last_one() {
    let answered = |status| Failed::Answered { status, text: "why".into() };
    for reads in [true, false] {
        for (status, elsewhere) in [
            (Status::NodeSuspected, true),
            (Status::IllegalLifecycleState, true),
            (Status::ServerError, false),
            (Status::TimedOut, false),
            (Status::ParseError, false),
        ] {
            let text = format!("a:1 answers OP with {status:?}: why");
            assert_eq!(decided(answered(status), reads), (elsewhere, text));
        }
    }
    let text = "x.CacheNotFoundException: Cache with name 'x' not found".into();
    let no_such_cache = Failed::Answered { status: Status::ParseError, text };
    assert_eq!(decided(no_such_cache, true), (false, "there is no cache \"\"".into()));
}

#[test]
fn silence_and_nonsense_are_final() {
    let silent = "a:1 was silent: OP was not answered within 2000 ms".to_owned();
    for asked in [true, false] {
        let failure = Failed::Unanswered(Failure::TimedOut { asked });
        assert_eq!(decided(failure, true), (false, silent.clone()));
    }
    let wrong = Unanswered::Wrong(AnswerError::Unasked { message_id: 3 });
    let failure = Failed::Unanswered(Failure::Unanswered(wrong));
    assert_eq!(decided(failure, true), (false, "the answer of a:1 to OP cannot be read".into()));
}
