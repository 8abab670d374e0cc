//! What refuses a disconnect, what is only said, and what is neither.

use store::Timestamp;

use super::*;
use crate::{sync::Ending, verify::judge::Unfetched};

fn whole() -> Standing<'static> {
    Standing { complete: 256, segments: 256, ..Standing::default() }
}

fn job() -> CopyStatus {
    CopyStatus::default()
}

fn ended() -> CopyStatus {
    CopyStatus {
        ended: Some(Timestamp::from_millis(1)),
        ending: Some(Ending::Finished),
        ..CopyStatus::default()
    }
}

fn report(state: &str, missing: u64) -> VerifyReport {
    VerifyReport { state: state.into(), missing, ..VerifyReport::default() }
}

#[test]
fn nothing_speaks_against_a_cache_that_is_whole_and_verified() {
    let (job, verified) = (ended(), report("finished", 0));
    let standing = Standing { job: Some(&job), verified: Some(&verified), ..whole() };
    assert_eq!(standing.losses(), Losses::default());
}

#[test]
fn each_loss_refuses_and_says_what_to_do() {
    let (running, paused) = (job(), CopyStatus { paused: true, ..job() });
    let failed = CopyStatus { failures_not_listed: 3, ..ended() };
    let (verifying, differs) = (report("running", 0), report("finished", 2));
    let held = VerifyReport { paused: true, ..report("running", 0) };
    let short = |job| Standing { complete: 255, job, ..whole() };
    let table = [
        (short(None), vec!["255 of 256 source segments are complete: synchronize"]),
        (
            short(Some(&running)),
            vec!["255 of 256 source segments are complete: the synchronization is still"],
        ),
        (
            short(Some(&paused)),
            vec!["255 of 256 source segments are complete: the synchronization is paused"],
        ),
        (
            Standing { silent: Some("refused"), ..short(Some(&running)) },
            vec![
                "255 of 256 source segments are complete: the synchronization waits for the source: refused",
            ],
        ),
        (
            Standing { silent: Some("refused"), ..short(Some(&paused)) },
            vec![
                "255 of 256 source segments are complete: the synchronization is paused: resume it",
            ],
        ),
        (short(Some(&failed)), vec!["255 of 256", "3 entries could not be copied: status --json"]),
        (Standing { problem: Some("lost"), ..short(Some(&failed)) }, vec!["lost", "255 of 256"]),
        (Standing { job: Some(&running), ..whole() }, vec!["a synchronization is still running"]),
        (
            Standing { job: Some(&paused), ..whole() },
            vec!["a synchronization is paused: resume or cancel it"],
        ),
        (
            Standing { verified: Some(&held), ..whole() },
            vec!["a verification is paused: resume or cancel it"],
        ),
        (
            Standing { verified: Some(&verifying), ..whole() },
            vec!["a verification is still running"],
        ),
        (
            Standing { verified: Some(&differs), ..whole() },
            vec![
                "verify has found 2 differences: verify and status --json list them; verify --repair fetches",
            ],
        ),
        (Standing { problem: Some("the source has lost data"), ..whole() }, vec!["the source has"]),
    ];
    for (standing, expected) in table {
        let blockers = standing.losses().all_blockers();
        let fit = blockers.len() == expected.len()
            && blockers.iter().zip(&expected).all(|(text, start)| text.starts_with(start));
        assert!(fit, "{blockers:#?} are not {expected:#?}");
    }
}

#[test]
fn each_difference_has_a_remedy_that_ends_it() {
    let gone = VerifyReport { vanished: 1, ..report("finished", 0) };
    let several = VerifyReport { vanished: 3, ..report("finished", 2) };
    let put_right = VerifyReport { missing: 2, repaired: 2, mended_missing: 2, ..several.clone() };
    let text = |report: &VerifyReport| differences_of(report, false).unwrap().to_string();
    let gone_of = |report: &VerifyReport| vanished(report).unwrap().to_string();
    assert_eq!(
        gone_of(&gone),
        "verify has found 1 entry that has vanished from the source since it came here: it was removed there, or the \
         source has lost it, and the only copy is here: disconnect by force to keep it; or, if it should go too, \
         remove it here and verify again"
    );
    assert!(
        gone_of(&several).starts_with(
            "verify has found 3 entries that have vanished from the source since they came here: they were removed \
             there, or the source has lost them, and the only copies are here: disconnect by force to keep them; or"
        ),
        "{several:?}"
    );
    assert_eq!(gone_of(&several), gone_of(&put_right));
    for none in [&gone, &put_right] {
        assert_eq!(differences_of(none, false), None, "no repair fetches what is gone");
    }
    assert!(text(&several).starts_with("verify has found 2 differences: "), "{several:?}");
    assert!(text(&several).contains("--repair"), "{several:?}");
    assert_eq!(vanished(&report("finished", 2)), None);
    assert_eq!(differences_of(&report("finished", 0), true), None);
    let no_room = differences_of(&report("finished", 2), true).unwrap().to_string();
    assert!(
        no_room
            .contains("; there is no memory now for what verify --repair would fetch: make room"),
        "{no_room}"
    );
    let left = |report, each: &[(Unfetched, u64)]| VerifyReport {
        not_fetched: each.iter().map(|(_, entries)| entries).sum(),
        unfetched: each.iter().copied().collect(),
        ..report
    };
    let by_hand = left(report("finished", 2), &[(Unfetched::Removed, 2)]);
    let some =
        VerifyReport { vanished: 1, ..left(report("finished", 5), &[(Unfetched::Ended, 2)]) };
    let full = left(report("finished", 5), &[(Unfetched::TooLong, 1), (Unfetched::NoMemory, 4)]);
    let (by_hand, some) = (text(&by_hand), text(&some));
    assert!(
        by_hand.contains("; 2 not fetched (it may have been removed here): write or remove"),
        "{by_hand}"
    );
    assert!(by_hand.ends_with("; or disconnect by force to go on without them"), "{by_hand}");
    assert!(!by_hand.contains("--repair"), "no advice that does nothing: {by_hand}");
    assert!(
        some.contains("; verify --repair fetches 3 of them; 2 not fetched (a client's"),
        "{some}"
    );
    let full = text(&full);
    assert!(full.contains("; 1 not fetched (its key is longer"), "{full}");
    assert!(full.contains("; 4 not fetched (there is no memory for it): make room"), "{full}");
    assert!(!full.contains("--repair"), "it cannot fetch them: {full}");
}

#[test]
fn what_is_kept_and_what_was_only_unproven_is_not_left_behind() {
    let running = job();
    let verifying = VerifyReport { vanished: 2, paused: true, ..report("running", 1) };
    let standing = Standing { job: Some(&running), verified: Some(&verifying), ..whole() };
    let blockers = standing.losses().blockers;
    let (kept, lost): (Vec<_>, Vec<_>) = blockers.iter().partition(|one| one.kept.is_some());
    let lost: Vec<_> = lost.into_iter().map(|one| one.what.as_str()).collect();
    assert_eq!(lost, ["verify has found 1 difference"]);
    let kept: Vec<_> = kept.into_iter().filter_map(|one| one.kept.as_deref()).collect();
    let expected = [
        "a synchronization was still running",
        "a verification was paused: nothing is proven",
        "2 entries that have vanished from the source are kept here",
    ];
    assert_eq!(kept, expected);
}

#[test]
fn what_is_true_after_the_disconnect_says_nothing_to_do() {
    let differs = report("finished", 2);
    let failed = CopyStatus { failures_not_listed: 3, ..ended() };
    let standing = Standing {
        complete: 3,
        job: Some(&failed),
        verified: Some(&differs),
        evicted: 1,
        ..whole()
    };
    let Losses { blockers, doubts, unproven } = standing.losses();
    let what: Vec<_> = blockers.iter().chain(&doubts).map(|reason| reason.what.as_str()).collect();
    let expected = [
        "3 of 256 source segments are complete",
        "3 entries could not be copied",
        "verify has found 2 differences",
        "1 entry was evicted since the cache was connected, because its bound is smaller than what it was to hold",
    ];
    assert_eq!((what, unproven), (expected.to_vec(), None));
    let unproven = whole().losses().unproven.unwrap();
    assert_eq!(unproven.what, "no verification was run");
}

#[test]
fn what_nobody_knows_does_not_refuse() {
    let failed =
        |reason: &str| VerifyReport { reason: Some(reason.to_owned()), ..report("failed", 0) };
    let (cancelled, silent) = (report("cancelled", 0), failed("it is silent"));
    let another = VerifyReport { lost_source: true, ..failed("it was removed") };
    let evicted = VerifyReport { missing_or_evicted: 5, ..report("finished", 0) };
    let proof = report("finished", 0);
    let doubted = VerifyReport { doubt: Some("it has more".into()), ..report("finished", 0) };
    let later = VerifyReport { cleared: 9, cleared_or_later: 2, ..report("finished", 0) };
    let before = VerifyReport { cleared: 9, ..report("finished", 0) };
    let cleared = Standing { cleared: true, ..whole() };
    let shown = Standing { not_shown: Some("it has shown few"), ..whole() };
    let gone = Standing { changed: Some("it was removed"), ..whole() };
    let table = [
        (whole(), vec!["no verification was run"]),
        (
            Standing { evicted: 5, evicted_in_all: 5, ..whole() },
            vec!["5 entries were evicted since the cache was connected,", "no verification"],
        ),
        (
            Standing { evicted: 5, evicted_in_all: 14, evicted_own: 2, ..whole() },
            vec![
                "5 entries were evicted, because its bound is smaller than what it was to hold (14 since the cache was \
                 connected, of which verify has looked for 7)",
                "2 entries that clients have written were evicted since the cache was connected: they are nowhere else",
                "no verification",
            ],
        ),
        (
            Standing { evicted_in_all: 1, evicted_own: 1, verified: Some(&proof), ..whole() },
            vec![
                "1 entry that a client has written was evicted since the cache was connected: it is",
            ],
        ),
        (
            Standing { adopted: 7, verified: Some(&proof), ..whole() },
            vec!["7 entries count as changed"],
        ),
        (
            Standing { verified: Some(&cancelled), ..whole() },
            vec!["the last verification was cancelled, and nothing is proven: verify again"],
        ),
        (
            Standing { verified: Some(&silent), ..whole() },
            vec!["the last verification did not come to its end: it is silent"],
        ),
        (Standing { verified: Some(&evicted), ..whole() }, vec!["verify has not found 5 entries"]),
        (Standing { verified: Some(&doubted), ..whole() }, vec!["it has more"]),
        (shown, vec!["it has shown few", "no verification was run"]),
        (Standing { verified: Some(&proof), ..shown }, vec![]),
        (Standing { verified: Some(&doubted), ..shown }, vec!["it has more"]),
        (cleared, vec!["a client has cleared the cache since", "no verification was run"]),
        (Standing { verified: Some(&cancelled), ..cleared }, vec!["a client has", "the last"]),
        (
            Standing { verified: Some(&later), ..cleared },
            vec!["2 entries of the source are not here because a client has cleared the cache"],
        ),
        (Standing { verified: Some(&before), ..cleared }, vec![]),
        // What the source has lost before, no verification can find.
        (
            Standing { verified: Some(&proof), shrunk: Some("it had more"), ..whole() },
            vec!["it had more"],
        ),
        (
            gone,
            vec![
                "it was removed: it cannot be verified until accept-source-loss",
                "no verification was run: accept-source-loss, and verify",
            ],
        ),
        (Standing { verified: Some(&proof), ..gone }, vec![]),
        (
            Standing { verified: Some(&cancelled), ..gone },
            vec![
                "it was removed: ",
                "the last verification was cancelled, and nothing is proven: accept-source-loss, and",
            ],
        ),
        // What it failed of is said once, and not any more when that was accepted.
        (
            Standing { verified: Some(&another), ..gone },
            vec![
                "it was removed: ",
                "the last verification did not come to its end, because the source had changed: accept-source-loss",
            ],
        ),
        (
            Standing { verified: Some(&another), ..whole() },
            vec![
                "the last verification did not come to its end, because the source had changed: verify again",
            ],
        ),
    ];
    for (standing, expected) in table {
        let losses = standing.losses();
        assert_eq!(losses.blockers, Vec::new());
        let doubts = losses.all_doubts();
        let fit = doubts.len() == expected.len()
            && doubts.iter().zip(&expected).all(|(text, start)| text.starts_with(start));
        assert!(fit, "{doubts:#?} are not {expected:#?}");
    }
}

#[test]
fn an_answer_has_few_lines_and_short_ones() {
    let long = "a\nb".repeat(1_000);
    let failed = job();
    let cancelled = VerifyReport { reason: Some(long.clone()), ..report("failed", 7) };
    let standing = Standing {
        complete: 0,
        problem: Some(&long),
        job: Some(&failed),
        verified: Some(&cancelled),
        evicted: 1,
        ..whole()
    };
    let losses = standing.losses();
    let text = listed(&[losses.all_blockers(), losses.all_doubts()].concat());
    assert!(text.lines().count() <= 15, "{text}");
    assert!(
        text.lines().all(|line| line.starts_with("- ") && line.chars().count() < 600),
        "{text}"
    );
}

#[test]
fn servers_of_the_source_that_went_before_the_copy_are_named_until_they_are_accepted() {
    let lost =
        |server: &str, how, after_copy| LostServer { server: server.to_owned(), how, after_copy };
    let said = |lost: &[LostServer], cleared| {
        let (job, verified) = (ended(), report("finished", 0));
        let standing =
            Standing { job: Some(&job), verified: Some(&verified), lost, cleared, ..whole() };
        let losses = standing.losses();
        assert!(losses.blockers.is_empty());
        losses.all_doubts()
    };
    let remedy = "if other servers had copies of them (owners of 2 or more), or if they may go, accept-source-loss";
    let again = lost("a:1", Gone::Replaced, false);
    assert_eq!(
        said(&[again.clone(), lost("c:1", Gone::Left, true)], false),
        [format!(
            "source server a:1 was started again, or its statistics were reset, after the cache was connected and, \
             as far as is known, before everything was copied: entries that only it had may be lost: {remedy}"
        )]
    );
    let both = [again, lost("b:1", Gone::Left, false)];
    assert_eq!(
        said(&both, false),
        [format!(
            "of the source's servers, a:1 was started again, or its statistics were reset, and b:1 has left after the \
             cache was connected and, as far as is known, before everything was copied: entries that only they had may \
             be lost: {remedy}"
        )]
    );
    assert!(said(&both, true).is_empty(), "nothing comes from the source after a clear");
    assert!(said(&[lost("c:1", Gone::Left, true)], false).is_empty(), "it was here by then");
}

#[test]
fn servers_that_do_not_answer_since_the_copy_are_named() {
    let said = |unheard: &[(&str, Option<u64>)], cleared| {
        let (job, verified) = (ended(), report("finished", 0));
        let of = |(server, since): &(&str, _)| {
            let server = (*server).to_owned();
            UnheardServer { server, since: *since, after_copy: false }
        };
        let unheard: Vec<UnheardServer> = unheard.iter().map(of).collect();
        let (job, verified) = (Some(&job), Some(&verified));
        let standing = Standing { job, verified, unheard: &unheard, cleared, ..whole() };
        standing.losses().all_doubts()
    };
    let (known, never) = (("a:1", None), ("b:1", Some(7)));
    assert_eq!(
        said(&[never, known], false),
        [
            "source server a:1 has not answered since everything was copied: whether it was started again before, and \
             entries are lost, is not known: wait for an answer, or, if other servers have copies of its entries, \
             accept-source-loss",
            "source server b:1 has not answered since the cache was connected: whether it was started again before \
             everything was copied, and entries are lost, is not known: wait for an answer, or, if other servers have \
             copies of its entries, or it is no server of the source any more, accept-source-loss"
        ]
    );
    let both = [known, ("c:1", None)];
    assert!(said(&both, false)[0].starts_with("the source's servers a:1, c:1 have not answered"));
    assert!(said(&[known, never], true).is_empty() && said(&[], false).is_empty());
}
