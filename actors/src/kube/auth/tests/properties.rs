//! Whatever the roles are: an allowance has a binding that explains it, and no allowance means that none does.

use proptest::prelude::*;

use super::*;

const VERBS: [&str; 3] = ["get", "list", "*"];
const GROUPS: [&str; 3] = ["", "apps", "*"];
const RESOURCES: [&str; 5] = ["pods", "pods/log", "*/log", "nodes", "*"];
const NAMES: [&str; 2] = ["a", "b"];
const USERS: [&str; 2] = ["User:joe", "Group:g"];

fn some(of: &'static [&'static str], least: usize) -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(of, least..=of.len())
}

fn rule() -> impl Strategy<Value = Value> {
    (some(&VERBS, 1), some(&GROUPS, 1), some(&RESOURCES, 1), some(&NAMES, 0)).prop_map(
        |(verbs, groups, resources, names)| {
            json!({"verbs": verbs, "apiGroups": groups, "resources": resources, "resourceNames": names})
        },
    )
}

proptest! {
    #[test]
    fn allowances_are_explained(
        roles in prop::collection::vec(prop::collection::vec(rule(), 0..3), 1..4),
        bindings in prop::collection::vec((0..4usize, prop::bool::ANY, some(&USERS, 0)), 0..5),
        verb in prop::sample::select(&["get", "list", "watch"][..]),
        group in prop::sample::select(&["", "apps", "batch"][..]),
        resource in prop::sample::select(&["pods", "nodes"][..]),
        subresource in prop::sample::select(&["", "log"][..]),
        namespace in prop::sample::select(&["", "ns", "other"][..]),
        name in prop::sample::select(&["", "a", "c"][..]),
        groups in some(&["g", "h"], 0),
    ) {
        let mut store = empty();
        for (index, rules) in roles.iter().enumerate() {
            cluster_role(&mut store, &index.to_string(), json!(rules));
        }
        for (index, (role, wide, to)) in bindings.iter().enumerate() {
            let place = if *wide { "" } else { "ns" };
            bind(&mut store, place, &index.to_string(), ("ClusterRole", &role.to_string()), to);
        }
        let joe = user("joe", &groups);
        let request = ResourceRequest { group, resource, subresource, namespace, name };
        let attributes = Attributes::resource(verb, request);
        let decision = authorize(&store, &joe, &attributes);
        // The long way round.
        let applies = |index: &usize| {
            let (role, wide, to) = &bindings[*index];
            let bound = to.contains(&"User:joe") || (to.contains(&"Group:g") && groups.contains(&"g"));
            let rules: Vec<PolicyRule> = roles
                .get(*role)
                .map(|rules| rules.iter().map(|rule| serde_json::from_value(rule.clone()).unwrap()).collect())
                .unwrap_or_default();
            bound && (*wide || namespace == "ns") && rules.iter().any(|rule| rule.allows(&attributes))
        };
        let explaining: Vec<usize> = (0..bindings.len()).filter(applies).collect();
        prop_assert_eq!(decision.is_allowed(), !explaining.is_empty());
        if decision.is_allowed() {
            let named = explaining.iter().any(|index| {
                decision.reason().contains(&format!("RoleBinding \"{index}\""))
                    || decision.reason().contains(&format!("RoleBinding \"{index}/ns\""))
            });
            prop_assert!(named, "{:?} {:?}", decision, explaining);
            // What is allowed is among the rules that the user is shown.
            let (rules, _) = rules_for(&store, &joe, namespace);
            prop_assert!(rules.iter().any(|rule| rule.allows(&attributes)));
        }
    }

    #[test]
    fn rules_cover_themselves_and_what_they_cover_they_allow(
        owned in prop::collection::vec(rule(), 0..3),
        wanted in prop::collection::vec(rule(), 0..3),
    ) {
        let read = |rules: &[Value]| -> Vec<PolicyRule> {
            rules.iter().map(|rule| serde_json::from_value(rule.clone()).unwrap()).collect()
        };
        let (owned, wanted) = (read(&owned), read(&wanted));
        prop_assert_eq!(covers(&owned, &owned), Ok(()));
        prop_assert_eq!(covers(&PolicyRule::everything(), &wanted), Ok(()));
        if covers(&owned, &wanted).is_ok() {
            for text in ["get - pods ns a", "list apps nodes", "get - pods/log ns b", "watch batch jobs/log x"] {
                let asks = |rules: &[PolicyRule]| rules.iter().any(|rule| rule.allows(&ask(text)));
                prop_assert!(!asks(&wanted) || asks(&owned), "{}", text);
            }
        }
    }
}
