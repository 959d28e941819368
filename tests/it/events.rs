//! The events: their order, their readers over server-sent events, their file, and their description.

use std::path::Path;
use std::sync::Arc;

use metalsim::events::event::{Call, CallResult, Cause, ClusterNodeChange, RunEnd};
use metalsim::events::{Event, EventFile, EventLog, Happening, Limits, describe};
use metalsim::observer::Unobserved;
use metalsim_actors::node::bmc::{BmcCommand, ResetType};
use metalsim_actors::node::phase::Phase;
use metalsim_actors::time::SimInstant;
use proptest::prelude::*;

use crate::world::{PATIENCE, Plan, World, client, until};

/// A message of a stream.
#[derive(Debug, Default, PartialEq)]
struct Message {
    id: String,
    kind: String,
    data: String,
}

/// A client of server-sent events, as the HTML standard has it.
struct Reader {
    response: reqwest::Response,
    rest: Vec<u8>,
    last_id: String,
}

impl Reader {
    async fn open(url: &str) -> Self {
        Self::resume(url, None).await
    }

    async fn resume(url: &str, last: Option<&str>) -> Self {
        let mut request = client().get(url);
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{url}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self {
            response,
            rest: Vec::new(),
            last_id: String::new(),
        }
    }

    /// The next message; none: the stream is over.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(end) = self.rest.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.rest.drain(..end + 2).collect();
                let mut message = Message::default();
                for line in String::from_utf8(block).unwrap().lines() {
                    match line.split_once(": ") {
                        Some(("id", id)) => self.last_id = id.to_owned(),
                        Some(("event", kind)) => kind.clone_into(&mut message.kind),
                        Some(("data", data)) => message.data.push_str(data),
                        _ => assert!(line.is_empty() || line.starts_with(':'), "{line}"),
                    }
                }
                if message.data.is_empty() {
                    continue;
                }
                message.id.clone_from(&self.last_id);
                return Some(message);
            }
            self.rest
                .extend_from_slice(&self.response.chunk().await.unwrap()?);
        }
    }

    /// The next event; the message must say the same as the event.
    async fn event(&mut self) -> Option<Event> {
        let message = self.next().await?;
        let event: Event = serde_json::from_str(&message.data).unwrap();
        assert_eq!(message.id, event.sequence.to_string());
        assert_eq!(message.kind, event.happening.kind());
        Some(event)
    }

    async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.event().await {
            events.push(event);
        }
        events
    }
}

fn end(log: &EventLog) {
    log.publish(Happening::RunEnded {
        reason: RunEnd::Stopped,
    });
}

/// An event that can be told from others.
fn numbered(number: u32) -> Happening {
    Happening::Expectation {
        index: number,
        text: "it holds".into(),
        held: true,
    }
}

fn log(limits: Limits) -> Arc<EventLog> {
    EventLog::new(limits, Plan::default().clock, Arc::new(Unobserved))
}

fn read_file(path: &Path) -> Vec<Event> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[actix_web::test]
async fn a_life_of_a_node_is_told_in_order_and_the_file_tells_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let mut world = World::start(Plan {
        nodes: 3,
        ..Plan::default()
    })
    .await;
    let file = EventFile::start(&world.events, &path).unwrap();
    let base = world.serve_control(None, &Arc::default());
    let reader = Reader::open(&format!("{base}/api/v1/events?after=0")).await;
    world.boot_agent(1).await;
    world.bmc(1, BmcCommand::Reset(ResetType::ForceOff)).await;
    world.wait_for(1, Phase::Off).await;
    end(&world.events);
    // What follows is no part of the run.
    world.events.publish(numbered(1));
    let told = reader.rest().await;
    file.finished().await;
    assert_eq!(told, read_file(&path));
    let sequences: Vec<u64> = told.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, (1..=told.len() as u64).collect::<Vec<_>>());
    assert!(told.is_sorted_by_key(|event| event.time));
    assert_eq!(told.last().unwrap().happening.kind(), "run_ended");

    let mut phases: Vec<(Phase, Cause, Option<&str>)> = Vec::new();
    let mut epochs = Vec::new();
    for event in &told {
        if let Happening::NodePhase {
            node,
            from,
            to,
            epoch,
            cause,
            by,
        } = &event.happening
            && &**node == "n1"
        {
            assert_eq!(*from, phases.last().map(|(phase, ..)| *phase), "{event:?}");
            phases.push((*to, *cause, by.as_deref()));
            epochs.push(*epoch);
        }
    }
    assert_eq!(phases[0], (Phase::Off, Cause::Start, None));
    assert_eq!(phases[1], (Phase::PoweringOn, Cause::Reset, Some("On")));
    assert_eq!(phases.last().unwrap().0, Phase::Off);
    assert!(
        phases
            .iter()
            .any(|(phase, cause, _)| (*phase, *cause) == (Phase::AgentReady, Cause::Answer)),
        "{phases:?}"
    );
    assert!(
        phases
            .iter()
            .any(|(_, cause, by)| (*cause, *by) == (Cause::Reset, Some("ForceOff"))),
        "{phases:?}"
    );
    assert!(epochs.is_sorted() && epochs.last() > epochs.first(), "{epochs:?}");
    let times: Vec<SimInstant> = told
        .iter()
        .filter(|event| event.happening.is_about_node("n1"))
        .map(|event| event.at)
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    for kind in ["node_power", "boot", "call"] {
        let told = told
            .iter()
            .any(|event| event.happening.kind() == kind && event.happening.is_about_node("n1"));
        assert!(told, "{kind}");
    }
    world.stop().await;
}

#[actix_web::test]
async fn readers_resume_where_they_were() {
    let mut world = World::start(Plan::default()).await;
    let base = world.serve_control(None, &Arc::default());
    let url = format!("{base}/api/v1/events");
    let mut from_now = Reader::open(&url).await;
    // Its place is given when the stream is opened, before anything is published.
    let before = world.events.newest();
    for number in 0..5 {
        world.events.publish(numbered(number));
    }
    let seen: Vec<u64> = [from_now.event().await, from_now.event().await]
        .map(|event| event.unwrap().sequence)
        .into();
    assert_eq!(seen, [before + 1, before + 2]);
    let last_id = from_now.last_id.clone();
    drop(from_now);
    // A header is newer than what stands in the address.
    let resumed = Reader::resume(&format!("{url}?after=0"), Some(&last_id)).await;
    let after = Reader::open(&format!("{url}?after={}", before + 4)).await;
    // A place that was never given is one of an earlier run.
    let mut of_earlier_run = Reader::resume(&url, Some("18446744073709551615")).await;
    assert_eq!(of_earlier_run.event().await.unwrap().sequence, 1);
    end(&world.events);
    let sequences = |events: Vec<Event>| {
        events
            .iter()
            .map(|event| event.sequence - before)
            .collect::<Vec<_>>()
    };
    assert_eq!(sequences(resumed.rest().await), [3, 4, 5, 6]);
    assert_eq!(sequences(after.rest().await), [5, 6]);
    // Behind the end there is nothing to wait for.
    assert_eq!(Reader::open(&url).await.rest().await, []);
    world.stop().await;
}

#[actix_web::test]
async fn readers_get_what_they_ask_for() {
    let mut world = World::start(Plan {
        nodes: 3,
        ..Plan::default()
    })
    .await;
    let base = world.serve_control(None, &Arc::default());
    let url = format!("{base}/api/v1/events");
    world.boot_agent(0).await;
    world.boot_agent(2).await;
    for cluster in ["one", "two"] {
        world.events.publish(Happening::ClusterOpened {
            cluster: cluster.into(),
            endpoint: "127.0.0.1:1".into(),
        });
    }
    end(&world.events);
    let all = Reader::open(&format!("{url}?after=0")).await.rest().await;
    let id = world.node(0).identity().id;
    for (query, wanted) in [
        (
            "node=n0",
            Box::new(|h: &Happening| h.is_about_node("n0")) as Box<dyn Fn(&Happening) -> bool>,
        ),
        (
            &*format!("node={id}"),
            Box::new(|h: &Happening| h.is_about_node("n0")),
        ),
        (
            "node=n0&node=n2",
            Box::new(|h: &Happening| h.is_about_node("n0") || h.is_about_node("n2")),
        ),
        (
            "node=n2&kind=boot",
            Box::new(|h: &Happening| h.is_about_node("n2") && h.kind() == "boot"),
        ),
        (
            "kind=node_power&kind=run_ended",
            Box::new(|h: &Happening| ["node_power", "run_ended"].contains(&h.kind())),
        ),
        (
            "cluster=two",
            Box::new(|h: &Happening| h.cluster() == Some("two")),
        ),
        ("node=nobody", Box::new(|_: &Happening| false)),
    ] {
        let told = Reader::open(&format!("{url}?after=0&{query}")).await.rest().await;
        let expected: Vec<Event> = all
            .iter()
            .filter(|event| wanted(&event.happening))
            .cloned()
            .collect();
        assert_eq!(told, expected, "{query}");
        assert!(!told.is_empty() || query == "node=nobody", "{query}");
    }
    for bad in ["kind=node", "after=soon", "colour=red"] {
        let answer = client().get(format!("{url}?{bad}")).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{bad}");
    }
    let answer = client()
        .get(&url)
        .header("Last-Event-ID", "soon")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 400);
    world.stop().await;
}

#[actix_web::test]
async fn a_reader_that_is_too_slow_is_told_what_it_lost() {
    let mut world = World::start(Plan {
        events: Limits {
            keep: 10,
            ..Limits::default()
        },
        ..Plan::default()
    })
    .await;
    let base = world.serve_control(None, &Arc::default());
    let url = format!("{base}/api/v1/events");
    let mut slow = Reader::open(&url).await;
    let before = world.events.newest();
    // More than the buffers of a connection hold.
    let text: Box<str> = "x".repeat(100_000).into();
    for index in 0..1000 {
        world.events.publish(Happening::Expectation {
            index,
            text: text.clone(),
            held: true,
        });
    }
    end(&world.events);
    let (mut place, mut lost, mut seen) = (before, 0, 0);
    while let Some(event) = slow.event().await {
        if let Happening::Lagged { missed } = event.happening {
            lost += missed;
            place += missed;
            assert_eq!(event.sequence, place);
        } else {
            seen += 1;
            place += 1;
            assert_eq!(event.sequence, place);
        }
    }
    assert_eq!((place, seen + lost), (world.events.newest(), 1001));
    assert!(lost > 0, "the reader kept pace");
    // Who comes late, too.
    let late = Reader::open(&format!("{url}?after=0&kind=run_ended"))
        .await
        .rest()
        .await;
    let kinds: Vec<&str> = late.iter().map(|event| event.happening.kind()).collect();
    assert_eq!(kinds, ["lagged", "run_ended"]);
    let missed = world.events.newest() - 10;
    assert_eq!(late[0].happening, Happening::Lagged { missed });
    until("the losses to be counted", || async {
        let page = metalsim::observer::Exposition::render(&*world.metrics);
        page.contains(&format!("metalsim_events_missed_total {}\n", lost + missed))
    })
    .await;
    world.stop().await;
}

#[actix_web::test]
async fn clusters_are_told_with_their_nodes() {
    let mut world = World::start(Plan::default()).await;
    let base = world.serve_control(None, &Arc::default());
    let reader = Reader::open(&format!("{base}/api/v1/events?after=0&cluster=c1")).await;
    let post = |method: reqwest::Method, path: &str, body: serde_json::Value| {
        let request = client().request(method, format!("{base}{path}")).json(&body);
        async move {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
        }
    };
    let name = serde_json::json!({"cluster": "c1", "namespace": "default"});
    post(reqwest::Method::POST, "/register", name.clone()).await;
    let node = serde_json::json!({
        "cluster": "c1", "namespace": "default", "nodeName": "first", "providerID": "metal3://1", "uuid": "1",
        "labels": {"node-role.kubernetes.io/control-plane": "", "cluster.x-k8s.io/control-plane": ""},
    });
    post(reqwest::Method::PUT, "/updateNode", node).await;
    until("the node to be ready", || async {
        let batch = world.events.read(0, 1000);
        batch.events.iter().any(|event| {
            matches!(&event.happening, Happening::ClusterNode { change, .. } if *change == ClusterNodeChange::Ready)
        })
    })
    .await;
    let delete = client().delete(format!("{base}/api/v1/clusters/c1")).send();
    assert_eq!(delete.await.unwrap().status(), 204);
    end(&world.events);
    let told: Vec<String> = reader
        .rest()
        .await
        .iter()
        .map(|event| match &event.happening {
            Happening::ClusterOpened { endpoint, .. } => {
                assert!(endpoint.starts_with("127.0.0.1:"), "{endpoint}");
                "opened".to_owned()
            }
            Happening::ClusterClosed { .. } => "closed".to_owned(),
            Happening::ClusterNode {
                node,
                change,
                machine: None,
                ..
            } => format!("{node} {change:?}"),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        told,
        ["opened", "first Joined", "first Started", "first Ready", "closed"]
    );
    world.stop().await;
}

#[actix_web::test]
async fn there_is_an_end_to_the_number_of_readers() {
    let mut world = World::start(Plan {
        events: Limits {
            subscribers: 2,
            ..Limits::default()
        },
        ..Plan::default()
    })
    .await;
    let base = world.serve_control(Some("secret"), &Arc::default());
    let get = |token: &'static str| {
        client()
            .get(format!("{base}/api/v1/events"))
            .bearer_auth(token)
            .send()
    };
    assert_eq!(get("wrong").await.unwrap().status(), 401);
    let readers = [get("secret").await.unwrap(), get("secret").await.unwrap()];
    assert!(readers.iter().all(|reader| reader.status() == 200));
    let refused = get("secret").await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    // Asking for the head takes no place.
    let head = client()
        .head(format!("{base}/api/v1/events"))
        .bearer_auth("secret");
    assert_eq!(head.send().await.unwrap().status(), 200);
    drop(readers);
    until("a place to be free again", || async {
        // The server learns that a reader is gone when it writes.
        world.events.publish(numbered(0));
        get("secret").await.unwrap().status() == 200
    })
    .await;
    world.stop().await;
}

#[actix_web::test]
async fn a_server_that_drains_ends_the_streams() {
    let mut world = World::start(Plan::default()).await;
    let base = world.serve_control(None, &Arc::default());
    let reader = Reader::open(&format!("{base}/api/v1/events?kind=run_ended")).await;
    end(&world.events);
    // Only streams that end let the server stop in time.
    tokio::time::timeout(PATIENCE, world.drain()).await.unwrap();
    assert_eq!(reader.rest().await.len(), 1);
    world.stop().await;
}

#[actix_web::test]
async fn heartbeats_are_told_when_they_fail_and_when_they_work_again() {
    use metalsim::events::EventRecorder;
    use metalsim::telemetry::metrics::Metrics;
    use metalsim_actors::ids::NodeId;
    use metalsim_actors::node::Record;
    use metalsim_actors::node::effect::{CallError, CallKind};
    use metalsim_actors::ports::Recorder as _;
    let log = log(Limits::default());
    let recorder = EventRecorder::new(Arc::new(Metrics::new()), Arc::clone(&log));
    let node = NodeId::from_name("a");
    let beat = |result| recorder.record(node, SimInstant::START, Record::Call(CallKind::Heartbeat, result));
    for result in [
        Ok(()),
        Err(CallError::Status(503)),
        Err(CallError::Connection),
        Ok(()),
        Ok(()),
    ] {
        beat(result);
    }
    let told: Vec<_> = log
        .read(0, 100)
        .events
        .iter()
        .map(|event| match &event.happening {
            Happening::Call {
                call: Call::Heartbeat,
                result,
                status,
                ..
            } => (*result, *status),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        told,
        [
            (CallResult::ServerError, Some(503)),
            (CallResult::NoConnection, None),
            (CallResult::Ok, None)
        ]
    );
}

#[actix_web::test]
async fn a_full_disk_does_not_stop_the_run() {
    use metalsim::observer::Exposition as _;
    use metalsim::telemetry::metrics::Metrics;
    let metrics = Arc::new(Metrics::new());
    let log = EventLog::new(Limits::default(), Plan::default().clock, metrics.clone());
    let file = EventFile::start(&log, Path::new("/dev/full")).unwrap();
    for number in 0..3 {
        log.publish(numbered(number));
    }
    end(&log);
    file.finished().await;
    let page = metrics.render();
    assert!(page.contains("metalsim_events_unwritten_total 4\n"), "{page}");
    assert!(page.contains("metalsim_events_total 4\n"), "{page}");
    assert!(EventFile::start(&log, Path::new("/nowhere/events")).is_err());
}

#[actix_web::test]
async fn threads_publish_into_one_order() {
    let log = log(Limits::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let file = EventFile::start(&log, &path).unwrap();
    let mut subscription = log.subscribe(Some(0)).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                for number in 0..1000 {
                    log.publish(numbered(thread * 1000 + number));
                }
            })
        })
        .collect();
    let closer = {
        let log = Arc::clone(&log);
        std::thread::spawn(move || {
            for thread in threads {
                thread.join().unwrap();
            }
            end(&log);
        })
    };
    let mut seen = Vec::new();
    loop {
        let events = subscription.next(7).await;
        if events.is_empty() {
            break;
        }
        seen.extend(events.iter().map(|event| Event::clone(event)));
    }
    closer.join().unwrap();
    file.finished().await;
    assert_eq!(seen.len(), 4001);
    assert_eq!(seen, read_file(&path));
    let mut newest = [None; 4];
    for event in &seen {
        if let Happening::Expectation { index, .. } = event.happening {
            let own = &mut newest[index as usize / 1000];
            assert!(*own < Some(index), "a thread's events keep their order");
            *own = Some(index);
        }
    }
}

#[test]
fn a_scenario_tells_its_timeline_and_its_verdicts() {
    use crate::rehearsal;
    let folder = tempfile::tempdir().unwrap();
    let file = rehearsal::prepared(&folder, "rolling-power-failure.yaml", |scenario| {
        scenario["speed"] = serde_json::json!(2000);
    });
    let path = folder.path().join("events.jsonl");
    let output = rehearsal::rehearse(&file, &[format!("events.file={}", path.display())]);
    assert_eq!(output.status.code(), Some(0), "{}", rehearsal::text(&output));
    let told = read_file(&path);
    assert!(matches!(
        &told[0].happening,
        Happening::RunStarted { scenario: Some(name), .. } if &**name == "rolling-power-failure"
    ));
    let (mut edges, mut verdicts) = (Vec::new(), 0);
    for event in &told {
        match &event.happening {
            Happening::ScenarioPhase { phase, change } => edges.push((event.at, phase.clone(), *change)),
            Happening::Expectation { index, text, held } => {
                assert_eq!((*index, *held), (verdicts, true), "{text}");
                verdicts += 1;
            }
            _ => {}
        }
    }
    assert_eq!(verdicts, 5);
    assert!(
        !edges.is_empty() && edges.is_sorted_by_key(|(at, ..)| *at),
        "{edges:?}"
    );
    for (at, phase, change) in &edges {
        let other = edges
            .iter()
            .find(|(_, other, end)| other == phase && end != change);
        let (end, ..) = other.unwrap_or_else(|| panic!("{phase} has one edge: {edges:?}"));
        assert_ne!(end, at);
    }
    let end = Happening::RunEnded {
        reason: RunEnd::Completed,
    };
    assert_eq!(told.last().map(|event| &event.happening), Some(&end));
}

#[test]
fn the_document_describes_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events.md");
    let text = std::fs::read_to_string(path).unwrap();
    let tables = describe::tables();
    assert!(
        text.contains(&tables),
        "docs/events.md must hold these tables as they are:\n\n{tables}"
    );
}

fn happenings() -> impl Strategy<Value = Happening> {
    let text = || "[a-z\"\\\\\n é]{0,8}".prop_map(Box::<str>::from);
    prop_oneof![
        (
            any::<u64>(),
            0.001..1e6,
            any::<u64>(),
            proptest::option::of(text())
        )
            .prop_map(|(seed, speed, nodes, scenario)| {
                Happening::RunStarted {
                    seed,
                    speed,
                    nodes,
                    scenario,
                }
            }),
        (
            text(),
            proptest::option::of(0..Phase::ALL.len()),
            0..Phase::ALL.len(),
            any::<u32>(),
            proptest::option::of(text())
        )
            .prop_map(|(node, from, to, epoch, by)| Happening::NodePhase {
                node,
                from: from.map(|from| Phase::ALL[from]),
                to: Phase::ALL[to],
                epoch,
                cause: Cause::Fault,
                by,
            }),
        (text(), text(), text()).prop_map(|(node, key, value)| Happening::NodeLabels {
            node,
            labels: [(key, value)].into(),
        }),
        (text(), text(), proptest::option::of(any::<u16>())).prop_map(|(node, command, status)| {
            if status.is_some() {
                Happening::Call {
                    node,
                    call: Call::Lookup,
                    result: CallResult::NotFound,
                    status,
                }
            } else {
                Happening::Command {
                    node,
                    command: String::from(command).into(),
                    status: metalsim_actors::wire::agent::CommandStatus::Succeeded,
                }
            }
        }),
        (text(), proptest::option::of(text()), any::<u64>()).prop_map(|(fault, node, number)| {
            Happening::FaultHit {
                fault,
                what: "bmc_slow".into(),
                node,
                cluster: None,
                number,
            }
        }),
        any::<u64>().prop_map(|missed| Happening::Lagged { missed }),
    ]
}

proptest! {
    /// What is written is read back as it was.
    #[test]
    fn events_are_read_as_they_were_written(sequence: u64, at: u64, happening in happenings()) {
        let event = Event {
            sequence,
            time: chrono::DateTime::from_timestamp_millis(1_700_000_000_123).unwrap(),
            at: SimInstant::from_millis(at),
            happening,
        };
        let line = serde_json::to_string(&event).unwrap();
        prop_assert!(!line.contains('\n'));
        prop_assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }

    /// Whatever is read in whatever pieces: events come in order, and what is lost is told.
    #[test]
    fn no_event_is_lost_in_silence(
        keep in 1_usize..8,
        steps in proptest::collection::vec((0_u32..12, 1_usize..6), 1..20),
    ) {
        let log = log(Limits { keep, ..Limits::default() });
        let (mut after, mut published) = (0, 0_u64);
        for (more, most) in steps {
            for number in 0..more {
                log.publish(numbered(number));
                published += 1;
            }
            let batch = log.read(after, most);
            prop_assert!(!batch.over);
            for event in &batch.events {
                match event.happening {
                    Happening::Lagged { missed } => after += missed,
                    _ => after += 1,
                }
                prop_assert_eq!(event.sequence, after);
            }
            prop_assert!(batch.events.len() <= most + 1);
            prop_assert!(after == published || batch.events.len() >= most);
        }
    }
}
