//! The page is well-formed, holds foreign text as text only, and has a mark for everything there is.

use metalsim_actors::phase::Phase;
use metalsim_actors::time::SimInstant;
use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::report::{Collector, FaultPlan, Header, Report, Stage, Stretch, Traffic, Verdict};

const HOSTILE: &str =
    "<script>alert(1)</script>\"'&]]>--><img src=x onerror=alert(1)>\u{0}\u{1b}[31m\u{202e}</svg>{{ 7*7 }}";

fn at(millis: u64) -> SimInstant {
    SimInstant::from_millis(millis)
}

fn report(name: &str, stretch: Stretch) -> Report {
    let mut collector = Collector::new(
        3,
        vec![FaultPlan {
            name: name.to_owned(),
            what: name.to_owned(),
            windows: vec![stretch],
        }],
    );
    for node in 0..3 {
        collector.phase(at(0), node, None, Phase::Off);
        collector.phase(at(1000), node, Some(Phase::Off), Phase::Post);
        collector.phase(
            at(5000 + u64::from(node)),
            node,
            Some(Phase::Post),
            Phase::OsRunning,
        );
    }
    collector.call(at(3000), Traffic::Heartbeat, true);
    collector.call(at(3000), Traffic::Ironic, false);
    collector.fault_hit(at(3000), name, name);
    collector.fault_hit(at(3000), "live", name);
    collector.sample(at(2000), &crate::report::ProcessSample::default());
    let header = Header {
        scenario: name.to_owned(),
        description: Some(name.to_owned()),
        version: name.to_owned(),
        nodes: 3,
        ..Header::default()
    };
    let stage = Stage {
        name: name.to_owned(),
        stretch,
    };
    let verdict = Verdict {
        expectation: name.to_owned(),
        held: false,
        details: name.to_owned(),
        at_ms: Some(7),
    };
    let verdicts = vec![verdict.clone(), verdict];
    collector.report(at(9000), header, vec![stage.clone(), stage], verdicts, |_| {
        Some(name.to_owned())
    })
}

/// Names of the elements, and attributes that run something. Scripts and styles are no XML and are looked through as text.
fn elements(page: &str) -> Vec<String> {
    let mut text = page.to_owned();
    for (begin, end) in [("<script", "</script>"), ("<style", "</style>")] {
        let mut rest = text.as_str();
        let mut kept = String::new();
        while let Some((before, behind)) = rest.split_once(begin) {
            kept.push_str(before);
            rest = behind.split_once(end).unwrap().1;
        }
        text = kept + rest;
    }
    let mut reader = Reader::from_str(&text);
    let mut names = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(element) | Event::Empty(element) => {
                names.push(String::from_utf8_lossy(element.name().as_ref()).into_owned());
                for attribute in element.attributes() {
                    let attribute = attribute.unwrap();
                    let key = String::from_utf8_lossy(attribute.key.as_ref()).into_owned();
                    assert!(!key.starts_with("on"), "{key}");
                    let value = String::from_utf8_lossy(&attribute.value).into_owned();
                    assert!(!value.contains("NaN") && !value.contains("inf"), "{key}={value}");
                    assert!(!["href", "src", "style"].contains(&key.as_str()), "{key}={value}");
                }
            }
            Event::Text(text) => {
                text.decode().unwrap();
            }
            Event::Eof => return names,
            _ => {}
        }
    }
}

#[test]
fn foreign_text_stays_text() {
    let stretch = Stretch {
        from_ms: 1000,
        until_ms: 6000,
    };
    let harmless = report("harmless", stretch);
    let hostile = report(HOSTILE, stretch);
    // A name is foreign text; it changes no element but the texts that no longer fit.
    let count = |page: &str| {
        let mut names = elements(page);
        names.retain(|name| name != "title" && name != "text");
        names
    };
    let page = hostile.to_html();
    assert_eq!(count(&harmless.to_html()), count(&page));
    assert!(
        !page.contains("<img") && !page.contains("<script>alert"),
        "{page}"
    );
    assert!(!page.contains('\u{1b}') && !page.contains('\u{0}'));
    assert_eq!(page.matches("</script>").count(), page.matches("<script").count());
    assert!(page.contains("&lt;script&gt;alert(1)"));
    assert!(
        hostile
            .summary()
            .chars()
            .all(|character| character == '\n' || !character.is_control())
    );
}

#[test]
fn junit_has_a_case_for_each_expectation() {
    for name in ["harmless", HOSTILE] {
        let text = report(name, Stretch::default()).to_junit();
        let mut reader = Reader::from_str(&text);
        let (mut cases, mut failures) = (Vec::new(), 0);
        loop {
            match reader.read_event().unwrap() {
                Event::Start(element) | Event::Empty(element) => match element.name().as_ref() {
                    b"testcase" => {
                        let name = element.try_get_attribute("name").unwrap().unwrap();
                        cases.push(name.value.into_owned());
                    }
                    b"failure" => failures += 1,
                    _ => {}
                },
                Event::Eof => break,
                _ => {}
            }
        }
        assert_eq!((cases.len(), failures), (2, 2), "{text}");
        assert_ne!(cases[0], cases[1]);
    }
    let parsed =
        quick_junit::Report::deserialize_from_str(&report(HOSTILE, Stretch::default()).to_junit()).unwrap();
    assert_eq!((parsed.tests, parsed.failures, parsed.errors), (2, 2, 0));
}

#[test]
fn plots_show_what_there_is() {
    let page = report(
        "x",
        Stretch {
            from_ms: 1000,
            until_ms: 6000,
        },
    )
    .to_html();
    for mark in [
        r#"id="nodes""#,
        r#"class="area p-os-running""#,
        r#"id="traffic""#,
        r#"class="line t-heartbeat""#,
        r#"class="bar t-ironic""#,
        r#"class="band""#,
        r#"class="window""#,
        r#"class="hits""#,
        r#"id="durations""#,
        r#"class="bars""#,
        r#"id="memory""#,
        "2 of 2 expectations failed",
        "added on the way",
    ] {
        assert!(page.contains(mark), "{mark}");
    }
}

#[test]
fn an_empty_run_has_a_page() {
    let report = Collector::new(0, vec![]).report(at(0), Header::default(), vec![], vec![], |_| None);
    let page = report.to_html();
    assert!(page.contains("Nothing was expected"));
    assert!(elements(&page).len() > 20);
    assert!(!page.contains("<svg"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_report_can_be_drawn(name in ".{0,200}", from in any::<u64>(), length in any::<u64>(), simulated in any::<u64>(),
        speed in any::<f64>(), means in prop::collection::vec(0.0..1e300_f64, 9)) {
        let stretch = Stretch { from_ms: from, until_ms: from.saturating_add(length) };
        let mut report = report(&name, stretch);
        report.run.simulated_ms = simulated;
        report.run.speed = speed;
        report.phases[0].per_bucket = means;
        report.traffic[0].requests_per_bucket[1] = from;
        report.journeys.spread.max_ms = simulated;
        report.slowest[0].journey_ms = length;
        elements(&report.to_html());
        prop_assert!(quick_junit::Report::deserialize_from_str(&report.to_junit()).is_ok());
        prop_assert!(!report.summary().is_empty());
    }
}
