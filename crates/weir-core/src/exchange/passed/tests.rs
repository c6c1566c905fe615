//! Tests of what passes: however it is cut, and whether it is whole.

use super::*;
use proptest::prelude::*;

const STREAM: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_abcdef\"}}\n\n\
    event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"h\u{e9}\"}\n\n\
    event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_abcdef\",\"usage\":{\"input_tokens\":3,\"output_tokens\":2,\"total_tokens\":5}}}\n\n";

proptest! {
    /// However the network cuts a stream: the same bytes with marks, its usage, and its end.
    #[test]
    fn cuts_change_nothing(mut cuts in proptest::collection::vec(0usize..=STREAM.len(), 0..6)) {
        let own = Mark::of(&["d", "e"]);
        let mut passed = Passed::new(Vec::from([Some(own)]), Matter::Responses, true);
        cuts.sort_unstable();
        let (mut out, mut from) = (Vec::new(), 0);
        for cut in cuts.into_iter().chain([STREAM.len()]) {
            out.extend(passed.push(&STREAM.as_bytes()[from..cut]).unwrap());
            from = cut;
        }
        prop_assert_eq!(String::from_utf8(out).unwrap(), marks::mark(STREAM, own));
        prop_assert_eq!(passed.usage.map(|usage| usage.total()), Some(5));
        prop_assert!(passed.is_whole(StreamEnd::Closed));
    }
}

#[test]
fn a_stream_without_its_last_event_is_not_whole() {
    let part = STREAM.get(..200).unwrap();
    let rows =
        [(Matter::Responses, false), (Matter::Kept, false), (Matter::Audio, true), (Matter::Images, true)];
    for (matter, whole) in rows {
        let mut passed = Passed::new(Vec::from([Some(Mark::of(&["d"]))]), matter, true);
        let events = part.get(..part.rfind("\n\n").unwrap() + 2).unwrap();
        assert!(passed.push(events.as_bytes()).is_some());
        assert_eq!(passed.is_whole(StreamEnd::Closed), whole, "{matter:?}");
        assert!(!passed.is_whole(StreamEnd::Broken), "{matter:?}");
    }
}
