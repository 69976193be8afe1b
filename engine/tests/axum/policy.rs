//! The policy of a path holds for every spelling of it.

use billing::{Catalog, Entitlement, Feature, Policy, Timestamp, entitlement};
use engine::axum::{PolicyTable, PolicyTableError, Route, Verdict, canonical};
use proptest::prelude::*;

const ADVANCED_ANALYTICS: Feature = Feature::new("advancedAnalytics");
const PRIORITY_SUPPORT: Feature = Feature::new("prioritySupport");
const PRO: Policy = Policy::Tier("PRO");

const ROUTES: &[Route] = &[
    Route { path: "/", policy: Policy::Public },
    Route { path: "/admin", policy: Policy::Operator },
    Route { path: "/billing", policy: Policy::SignedIn },
    Route { path: "/billing/upgrade", policy: Policy::Public },
    Route { path: "/dashboard", policy: Policy::SignedIn },
    Route { path: "/dashboard/analytics", policy: Policy::Feature(ADVANCED_ANALYTICS) },
    Route { path: "/dashboard/api-keys", policy: PRO },
    Route { path: "/dashboard/support", policy: Policy::Feature(PRIORITY_SUPPORT) },
];

fn catalog() -> Catalog {
    Catalog::parse(include_str!("../../../plans.toml"), &|_| None).expect("the catalog is valid")
}

fn table() -> PolicyTable {
    PolicyTable::new(ROUTES.to_vec(), &catalog()).expect("the routes are valid")
}

/// The entitlement of the free plan.
fn free() -> Entitlement {
    entitlement(&[], &catalog(), Timestamp(1_777_636_800))
}

/// The verdict for a visitor of `path`, with their entitlement and whether they are an operator.
fn verdict(path: &str, visitor: Option<(&Entitlement, bool)>) -> Verdict {
    table().route(path).expect("it is declared").verdict(visitor, &catalog())
}

/// The declared path that covers `path`.
fn covering(path: &str) -> Option<&'static str> {
    table().route(&canonical(path)?).map(|route| route.path)
}

#[test]
fn a_route_covers_itself_and_the_paths_below_it() {
    for (path, route) in [
        ("/", "/"),
        ("/dashboard", "/dashboard"),
        ("/dashboard/anything", "/dashboard"),
        ("/dashboard/analytics", "/dashboard/analytics"),
        ("/dashboard/analytics/x", "/dashboard/analytics"),
        ("/dashboard/analytics/x/y", "/dashboard/analytics"),
        ("/billing/success", "/billing"),
        ("/billing/upgrade", "/billing/upgrade"),
    ] {
        assert_eq!(covering(path), Some(route), "{path}");
    }
}

#[test]
fn a_route_covers_whole_segments_only() {
    assert_eq!(covering("/dashboard/analytics2"), Some("/dashboard"));
    assert_eq!(covering("/dashboard/analytics-export/x"), Some("/dashboard"));
    assert_eq!(covering("/dashboards"), None);
    assert_eq!(covering("/billings/upgrade"), None);
}

#[test]
fn an_undeclared_path_is_not_covered() {
    for path in ["/administrator", "/x/dashboard", "/api/v1/usage", "/.env", "/x"] {
        assert_eq!(covering(path), None, "{path}: the front page must not cover everything");
    }
    let empty = PolicyTable::new(Vec::new(), &catalog()).expect("a table may be empty");
    assert!(empty.route("/").is_none());
}

#[test]
fn the_longest_declared_path_wins_in_whatever_order_it_is_declared() {
    let mut reversed = ROUTES.to_vec();
    reversed.reverse();
    let table = PolicyTable::new(reversed, &catalog()).unwrap();
    assert_eq!(table.route("/dashboard/api-keys/1").map(|route| route.policy), Some(PRO));
}

#[test]
fn every_spelling_of_a_path_has_one_canonical_form() {
    for spelling in [
        "/dashboard/analytics",
        "/dashboard/analytics/",
        "/dashboard/analytics//",
        "//dashboard/analytics",
        "/dashboard//analytics",
        "/DASHBOARD/Analytics",
        "/dashboard/%61nalytics",
        "/dashboard/%2561nalytics",
        "/dashboard/%252561nalytics",
        "/dashboard%2fanalytics",
        "/dashboard%2Fanalytics",
        "/dashboard%252fanalytics",
        "/dashboard\\analytics",
        "/dashboard%5canalytics",
        "/./dashboard/./analytics",
        "/dashboard/x/../analytics",
        "/dashboard/%2e%2e/dashboard/analytics",
        "/x/%252e%252e/dashboard/analytics",
        "/../../dashboard/analytics",
        "/dashboard/analytics;x",
        "/dashboard/analytics;jsessionid=1/",
        "/dashboard;x=1/analytics",
        "/dashboard/analytics%3bx",
        "/dashboard/analytics.",
        "/dashboard/analytics%20",
        "/dashboard/analytics/.",
        "/dashboard/analytics/x/..",
        "dashboard/analytics",
    ] {
        assert_eq!(canonical(spelling).as_deref(), Some("/dashboard/analytics"), "{spelling}");
    }
}

#[test]
fn a_path_below_a_route_stays_below_it() {
    assert_eq!(canonical("/Dashboard/Analytics/Report%201").as_deref(), Some("/dashboard/analytics/report 1"));
    assert_eq!(covering("/dashboard/analytics/../api-keys"), Some("/dashboard/api-keys"));
    assert_eq!(covering("/dashboard/analytics/..%2fsupport"), Some("/dashboard/support"));
}

#[test]
fn no_path_is_above_the_root() {
    for path in ["/", "", "/..", "/../..", "//", "/.", "\\", "/%2e%2e/"] {
        assert_eq!(canonical(path).as_deref(), Some("/"), "{path}");
    }
}

#[test]
fn a_path_that_does_not_decode_to_text_has_no_canonical_form() {
    for path in [
        "/dashboard%00/analytics",
        "/dashboard/analytics%0a",
        "/dashboard/analytics%7f",
        "/dashboard/%c0%afanalytics",
        "/dashboard%e0%80%afanalytics",
        "/%ff",
        "/\u{85}",
    ] {
        assert_eq!(canonical(path), None, "{path}");
    }
    let deep = format!("/dashboard/%{}61nalytics", "25".repeat(40));
    assert_eq!(canonical(&deep), None, "encoded more often than any client does");
}

#[test]
fn a_percent_sign_that_encodes_nothing_is_itself() {
    assert_eq!(canonical("/dashboard/100%").as_deref(), Some("/dashboard/100%"));
    assert_eq!(canonical("/dashboard/%zz").as_deref(), Some("/dashboard/%zz"));
}

#[test]
fn an_overlong_path_has_a_canonical_form() {
    let slashes = format!("/dashboard{}analytics", "/".repeat(100_000));
    assert_eq!(canonical(&slashes).as_deref(), Some("/dashboard/analytics"));
    let climbing = format!("{}/dashboard/analytics", "/x/..".repeat(20_000));
    assert_eq!(canonical(&climbing).as_deref(), Some("/dashboard/analytics"));
}

/// An encoded question mark does not begin a query.
#[test]
fn an_encoded_question_mark_is_part_of_the_path() {
    assert_eq!(covering("/dashboard/analytics%3fx"), Some("/dashboard"));
    assert_eq!(covering("/dashboard%3f"), None);
    assert_eq!(covering("/%23/../dashboard/analytics"), Some("/dashboard/analytics"));
}

#[test]
fn all_errors_of_a_table_are_reported_together() {
    let PolicyTableError(errors) = PolicyTable::new(
        vec![
            Route { path: "/Dashboard", policy: PRO },
            Route { path: "/billing/", policy: PRO },
            Route { path: "pricing", policy: Policy::Public },
            Route { path: "/gold", policy: Policy::Tier("GOLD") },
            Route { path: "/twice", policy: PRO },
            Route { path: "/twice", policy: Policy::Public },
        ],
        &catalog(),
    )
    .expect_err("no route is valid");
    for named in ["`/Dashboard`", "`/billing/`", "`pricing`", "`GOLD`", "`/twice`"] {
        assert!(errors.iter().any(|error| error.contains(named)), "{named}: {errors:?}");
    }
    assert_eq!(errors.len(), 5, "{errors:?}");
}

/// Two methods on one path are declared twice.
#[test]
fn declaring_a_route_twice_with_the_same_policy_is_allowed() {
    let route = Route { path: "/dashboard", policy: PRO };
    assert!(PolicyTable::new(vec![route, route], &catalog()).is_ok());
}

#[test]
fn the_verdict_depends_on_the_visitor() {
    let free = free();
    let free = Some((&free, false));
    assert_eq!(verdict("/", None), Verdict::Admit);
    assert_eq!(verdict("/dashboard", None), Verdict::SignIn);
    assert_eq!(verdict("/dashboard/analytics", None), Verdict::SignIn);
    assert_eq!(verdict("/dashboard", free), Verdict::Admit);
    assert_eq!(verdict("/dashboard/analytics", free), Verdict::Upgrade);
    assert_eq!(verdict("/dashboard/api-keys", free), Verdict::Upgrade);
    assert_eq!(verdict("/dashboard/support", free), Verdict::Upgrade);
}

/// A page that no plan includes does not exist for its visitor.
#[test]
fn pages_for_operators_are_hidden_from_everyone_else() {
    let free = free();
    for path in ["/admin", "/admin/events", "/admin/accounts/0197ada"] {
        assert_eq!(verdict(path, None), Verdict::SignIn, "{path}: they may be an operator");
        assert_eq!(verdict(path, Some((&free, false))), Verdict::Hide, "{path}");
        assert_eq!(verdict(path, Some((&free, true))), Verdict::Admit, "{path}");
    }
}

#[test]
fn an_operator_may_use_only_what_their_own_plan_includes() {
    let free = free();
    let operator = Some((&free, true));
    assert_eq!(verdict("/dashboard", operator), Verdict::Admit);
    assert_eq!(verdict("/dashboard/analytics", operator), Verdict::Upgrade);
    assert_eq!(verdict("/dashboard/api-keys", operator), Verdict::Upgrade);
}

#[test]
fn the_upgrade_page_gets_the_subject_of_the_route() {
    let subject = |path: &str| table().route(path).expect("it is declared").subject();
    assert_eq!(subject("/dashboard/analytics/x"), "advancedAnalytics");
    assert_eq!(subject("/dashboard/api-keys"), "api-keys");
}

/// One character, spelled as itself, in the other case, or encoded up to three times.
fn character(c: char) -> impl Strategy<Value = String> {
    (0..4_usize, any::<bool>(), any::<bool>()).prop_map(move |(encoded, upper, upper_hex)| {
        let c = if upper { c.to_ascii_uppercase() } else { c };
        match encoded {
            0 => c.to_string(),
            times => {
                let hex = if upper_hex { format!("{:02X}", u32::from(c)) } else { format!("{:02x}", u32::from(c)) };
                format!("%{}{hex}", "25".repeat(times - 1))
            }
        }
    })
}

/// Some spelling of the border between two segments.
fn border() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("/".to_owned()),
        1 => prop::sample::select(vec![
            "//", "\\", "/\\", "/./", "/x/../", "/x/y/../../", "%2f", "%2F", "%252f", "%5c", "%255C", "/%2e/", "/x/%2e%2e/",
            "/x/.%2E/", ";a=1/", ";/", "./", "%20/", "/ /", "/;x/",
        ])
        .prop_map(str::to_owned),
    ]
}

/// Some spelling of `path`.
fn spelling(path: &'static str) -> impl Strategy<Value = String> {
    let segments: Vec<_> = path
        .split('/')
        .skip(1)
        .map(|segment| (border(), segment.chars().map(character).collect::<Vec<_>>().prop_map(|parts| parts.concat())))
        .collect();
    let end = prop::sample::select(vec!["", "/", "//", ".", "/.", "/x/..", ";x", "%20", "%2f", "\\", "/;"]);
    (segments, end).prop_map(|(segments, end)| {
        // The path of a request begins with a slash, whatever follows.
        let path: String = segments.into_iter().map(|(border, segment)| border + &segment).collect();
        format!("/{path}{end}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_spelling_of_a_guarded_path_has_its_canonical_form(spelled in spelling("/dashboard/analytics")) {
        prop_assert_eq!(canonical(&spelled), Some("/dashboard/analytics".to_owned()), "{}", spelled);
    }

    #[test]
    fn every_spelling_of_another_guarded_path_is_covered_by_its_route(spelled in spelling("/dashboard/api-keys")) {
        prop_assert_eq!(covering(&spelled), Some("/dashboard/api-keys"), "{}", spelled);
    }

    #[test]
    fn a_canonical_path_is_in_its_own_canonical_form(path in r"([/\\.;% a-zA-Z0-9]|%2[eEfF5]|%5c|\PC){0,40}") {
        if let Some(first) = canonical(&path) {
            prop_assert!(first.starts_with('/') && !first.starts_with("//"), "{first}");
            prop_assert!(!first.contains('\\') && !first.split('/').any(|segment| segment == ".." || segment == "."), "{first}");
            prop_assert_eq!(canonical(&first), Some(first));
        }
    }
}
