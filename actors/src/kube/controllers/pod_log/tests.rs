//! Logs that are computed.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::kube::controllers::testing::World;
use crate::kube::status::Reason;

fn text(world: &World, pod: &str, container: &str, query: &LogQuery) -> String {
    let bytes = log_lines(world.get("pods", pod), container, query, world.now).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn refusal(world: &World, pod: &str, container: &str, query: &LogQuery) -> String {
    let status = log_lines(world.get("pods", pod), container, query, world.now).unwrap_err();
    assert!(status.is(Reason::BadRequest) && status.code == 400, "{status:?}");
    status.message
}

fn query(pairs: &[(&str, &str)]) -> LogQuery {
    LogQuery::parse("a", pairs.iter().copied()).unwrap()
}

#[test]
fn a_running_container_writes_now_and_then() {
    let mut world = World::with_node();
    world.pod("a", "n1", json!({}));
    world.after(3);
    let first = text(&world, "a", "", &LogQuery::default());
    assert_eq!(first.lines().count(), 3, "{first}");
    world.after(600);
    let later = text(&world, "a", "app", &LogQuery::default());
    assert!(later.starts_with(&first), "what was told stays:\n{later}");
    let count = later.lines().count();
    assert!((9..=33).contains(&count), "{later}");
    assert!(
        later.contains("GET /healthz"),
        "nginx tells of its visitors: {later}"
    );
    let tail = text(&world, "a", "", &query(&[("tailLines", "2")]));
    assert!(later.ends_with(&tail) && tail.lines().count() == 2);
    assert_eq!(text(&world, "a", "", &query(&[("tailLines", "0")])), "");
    let short = text(&world, "a", "", &query(&[("limitBytes", "10")]));
    assert_eq!(Some(short.as_str()), later.get(..10));
    let recent = text(&world, "a", "", &query(&[("sinceSeconds", "200")]));
    assert!(later.ends_with(&recent) && recent.lines().count() < count && !recent.is_empty());
    let stamped = text(
        &world,
        "a",
        "",
        &query(&[("timestamps", "true"), ("tailLines", "1")]),
    );
    let (stamp, rest) = stamped.split_once(' ').unwrap();
    assert!(later.ends_with(rest));
    let stamp = DateTime::parse_from_rfc3339(stamp).unwrap().to_utc();
    assert!(stamp <= world.now);
    let since = stamp.to_rfc3339();
    assert_eq!(text(&world, "a", "", &query(&[("sinceTime", &since)])), rest);
}

#[test]
fn the_refusals_of_a_real_server() {
    let mut world = World::with_node();
    world.pod("a", "n1", json!({}));
    let plain = LogQuery::default();
    assert_eq!(
        refusal(&world, "a", "", &plain),
        "container \"app\" in pod \"a\" is waiting to start: ContainerCreating"
    );
    assert_eq!(
        refusal(&world, "a", "x", &plain),
        "container x is not valid for pod a"
    );
    let containers = json!([{"name": "a", "image": "x:1"}, {"name": "b", "image": "x:1"}]);
    let init = json!([{"name": "i", "image": "x:1"}]);
    world.pod("two", "n1", json!({"spec": {"containers": containers}}));
    world.pod(
        "three",
        "n1",
        json!({"spec": {"containers": containers, "initContainers": init}}),
    );
    assert_eq!(
        refusal(&world, "two", "", &plain),
        "a container name must be specified for pod two, choose one of: [a b]"
    );
    assert_eq!(
        refusal(&world, "three", "", &plain),
        "a container name must be specified for pod three, choose one of: [a b] or one of the init containers: [i]"
    );
    world.after(5);
    assert!(text(&world, "three", "i", &plain).contains("exiting"));
    assert_eq!(
        refusal(&world, "a", "app", &query(&[("previous", "true")])),
        "previous terminated container \"app\" in pod \"a\" not found"
    );
    world.create(
        "pods",
        json!({"metadata": {"name": "free"}, "spec": {"containers": [{"name": "app", "image": "x"}], "nodeSelector": {"no": "where"}}}),
    );
    assert_eq!(text(&world, "free", "", &plain), "");
}

#[test]
fn bad_queries() {
    let parse = |key: &str, value: &str| LogQuery::parse("a", [(key, value)]).unwrap_err();
    let status = parse("tailLines", "-1");
    assert_eq!(status.code, 422);
    assert_eq!(
        status.message,
        "PodLogOptions \"a\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0"
    );
    assert_eq!(
        parse("limitBytes", "0").message,
        "PodLogOptions \"a\" is invalid: limitBytes: Invalid value: 0: must be greater than 0"
    );
    assert_eq!(
        parse("sinceSeconds", "x").message,
        "strconv.ParseInt: parsing \"x\": invalid syntax"
    );
    assert_eq!(parse("sinceTime", "yesterday").code, 400);
    let both = [("sinceSeconds", "1"), ("sinceTime", "2026-01-01T00:00:00Z")];
    assert_eq!(LogQuery::parse("a", both).unwrap_err().code, 422);
    assert!(query(&[("follow", ""), ("previous", "False"), ("timestamps", "0")]).follow);
}

#[test]
fn the_run_before_has_its_own_log() {
    let mut world = World::with_node();
    let loops = json!({"metadata": {"annotations": {"metalsim.io/exit-code": "1", "metalsim.io/run-duration": "1s"}}});
    world.pod("a", "n1", loops);
    world.after(3);
    let previous = text(&world, "a", "", &query(&[("previous", "true")]));
    assert!(previous.contains("code 1"), "{previous}");
    let present = text(&world, "a", "", &LogQuery::default());
    assert!(!present.contains("code 1"), "{present}");
    world.after(1);
    let waiting = text(&world, "a", "", &LogQuery::default());
    assert!(
        waiting.contains("code 1"),
        "while it waits, the last run is told: {waiting}"
    );
}

#[test]
fn who_follows_sees_every_line_once_and_the_end() {
    let mut world = World::with_node();
    let runs = json!({"metadata": {"annotations": {"metalsim.io/run-duration": "300s"}}, "spec": {"restartPolicy": "Never"}});
    world.pod("a", "n1", runs);
    world.after(2);
    let asked = query(&[("follow", "true")]);
    let (mut told, follower) = follow(world.get("pods", "a"), "", &asked, world.now).unwrap();
    let mut follower = follower.unwrap();
    let mut asks = 0;
    loop {
        asks += 1;
        let (bytes, next) = follower.poll(Some(world.get("pods", "a")), world.now);
        told.extend(bytes);
        let Some(next) = next else { break };
        assert!(next > world.now, "it does not spin");
        world.after_duration((next - world.now).to_std().unwrap());
        // The end of the container wakes as well.
        if world.at("pods", "a", "/status/phase") == "Succeeded" {
            continue;
        }
    }
    assert!(asks > 4, "{asks}");
    let whole = text(&world, "a", "", &LogQuery::default());
    assert_eq!(String::from_utf8(told).unwrap(), whole);
    assert!(whole.ends_with("exiting\n"));
    let (_, none) = follow(world.get("pods", "a"), "", &asked, world.now).unwrap();
    assert!(none.is_none(), "there is nothing to wait for");
}

#[test]
fn a_follower_leaves_with_the_pod_or_its_limit() {
    let mut world = World::with_node();
    world.pod("a", "n1", json!({}));
    world.after(5);
    let (_, follower) = follow(world.get("pods", "a"), "", &query(&[("follow", "1")]), world.now).unwrap();
    let mut follower = follower.unwrap();
    world.delete_now("pods", "a");
    assert_eq!(follower.poll(None, world.now), (Vec::new(), None));
    world.pod("b", "n1", json!({}));
    world.after(5);
    let asked = query(&[("follow", "1"), ("tailLines", "0"), ("limitBytes", "15")]);
    let (_, follower) = follow(world.get("pods", "b"), "", &asked, world.now).unwrap();
    let mut follower = follower.unwrap();
    world.after(400);
    let (bytes, next) = follower.poll(Some(world.get("pods", "b")), world.now);
    assert_eq!((bytes.len(), next), (15, None));
}

#[test]
fn a_node_that_cannot_be_reached() {
    let mut world = World::with_node();
    world.pod("a", "n1", json!({}));
    let status = unreachable(world.get("pods", "a"), "app", "172.22.0.1");
    assert_eq!((status.code, status.reason), (500, None));
    assert!(
        status
            .message
            .contains("https://172.22.0.1:10250/containerLogs/default/a/app")
    );
}

proptest! {
    #[test]
    fn lines_come_in_order_and_their_count_fits(
        seed: u64,
        age in 0_i64..3_000_000,
        end in proptest::option::of(0_i64..3_000_000),
        image in "(etcd|nginx|app|registry.k8s.io/kube-proxy|)(:v1)?",
    ) {
        let started = crate::kube::controllers::testing::start();
        let run = Run {
            seed: Seed::root(seed),
            name: "c".to_owned(),
            image,
            started,
            ended: end.map(|end| (started + TimeDelta::seconds(end), 3)),
        };
        let now = started + TimeDelta::milliseconds(age * 7);
        let count = run.count(now);
        let lines: Vec<Line> = (count.saturating_sub(50)..count).map(|number| run.line(number, now)).collect();
        prop_assert!(lines.is_sorted_by_key(|line| line.time));
        prop_assert!(lines.iter().all(|line| line.time <= now && !line.text.is_empty() && !line.text.contains('\n')));
        match run.next(now) {
            Some(next) => {
                prop_assert!(next > now);
                prop_assert!(run.count(next) > count);
                prop_assert_eq!(run.count(next - TimeDelta::milliseconds(1)), count);
            }
            None => prop_assert!(run.ended.is_some_and(|(end, _)| end <= now)),
        }
    }
}
