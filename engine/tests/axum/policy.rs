//! Whatever spelling a path comes in, the policy of what it means is asked.

use billing::{Policy, Timestamp, entitlement};
use proptest::prelude::*;
use server::config::Config;
use server::guard::{PolicyTable, Route, Standing, Verdict, canonical, login_address, upgrade_address};
use server::product::{ADVANCED_ANALYTICS, PRIORITY_SUPPORT};

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

fn config() -> Config {
    Config::from_lookup(&|_| None).expect("a developer needs to set nothing")
}

fn table() -> PolicyTable {
    PolicyTable::new(ROUTES.to_vec(), &config().catalog).expect("the routes are sound")
}

/// Somebody on the free plan.
fn standing(is_operator: bool) -> Standing {
    Standing { entitlement: entitlement(&[], &config().catalog, Timestamp(1_777_636_800)), is_operator }
}

/// The declared path that covers `path`.
fn covering(path: &str) -> Option<&'static str> {
    table().route(&canonical(path)?).map(|route| route.path)
}

#[test]
fn a_route_covers_itself_and_what_is_below_it() {
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
fn nothing_declared_lets_nobody_in() {
    for path in ["/administrator", "/x/dashboard", "/api/v1/usage", "/.env", "/x"] {
        assert_eq!(covering(path), None, "{path}: the front page must not cover everything");
    }
    let empty = PolicyTable::new(Vec::new(), &config().catalog).expect("no route is no fault");
    assert!(empty.route("/").is_none());
}

#[test]
fn the_longest_declared_path_wins_in_whatever_order_it_is_declared() {
    let mut reversed = ROUTES.to_vec();
    reversed.reverse();
    let table = PolicyTable::new(reversed, &config().catalog).unwrap();
    assert_eq!(table.route("/dashboard/api-keys/1").map(|route| route.policy), Some(PRO));
}

#[test]
fn every_spelling_of_a_path_means_the_path() {
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
fn what_is_below_stays_below() {
    assert_eq!(canonical("/Dashboard/Analytics/Report%201").as_deref(), Some("/dashboard/analytics/report 1"));
    assert_eq!(covering("/dashboard/analytics/../api-keys"), Some("/dashboard/api-keys"));
    assert_eq!(covering("/dashboard/analytics/..%2fsupport"), Some("/dashboard/support"));
}

#[test]
fn nothing_is_above_the_root() {
    for path in ["/", "", "/..", "/../..", "//", "/.", "\\", "/%2e%2e/"] {
        assert_eq!(canonical(path).as_deref(), Some("/"), "{path}");
    }
}

#[test]
fn what_no_sound_path_decodes_to_means_nothing() {
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
    assert_eq!(canonical(&deep), None, "encoded more often than anybody means");
}

#[test]
fn a_percent_sign_that_encodes_nothing_is_itself() {
    assert_eq!(canonical("/dashboard/100%").as_deref(), Some("/dashboard/100%"));
    assert_eq!(canonical("/dashboard/%zz").as_deref(), Some("/dashboard/%zz"));
}

#[test]
fn an_overlong_path_is_answered_without_harm() {
    let slashes = format!("/dashboard{}analytics", "/".repeat(100_000));
    assert_eq!(canonical(&slashes).as_deref(), Some("/dashboard/analytics"));
    let climbing = format!("{}/dashboard/analytics", "/x/..".repeat(20_000));
    assert_eq!(canonical(&climbing).as_deref(), Some("/dashboard/analytics"));
}

/// A question mark in the path is no query.
#[test]
fn an_encoded_question_mark_hides_nothing() {
    assert_eq!(covering("/dashboard/analytics%3fx"), Some("/dashboard"));
    assert_eq!(covering("/dashboard%3f"), None);
    assert_eq!(covering("/%23/../dashboard/analytics"), Some("/dashboard/analytics"));
}

#[test]
fn every_fault_of_the_declarations_is_named_at_once() {
    let faults = PolicyTable::new(
        vec![
            Route { path: "/Dashboard", policy: PRO },
            Route { path: "/billing/", policy: PRO },
            Route { path: "pricing", policy: Policy::Public },
            Route { path: "/gold", policy: Policy::Tier("GOLD") },
            Route { path: "/twice", policy: PRO },
            Route { path: "/twice", policy: Policy::Public },
        ],
        &config().catalog,
    )
    .expect_err("none of it is sound");
    for named in ["`/Dashboard`", "`/billing/`", "`pricing`", "`GOLD`", "`/twice`"] {
        assert!(faults.iter().any(|fault| fault.contains(named)), "{named}: {faults:?}");
    }
    assert_eq!(faults.len(), 5, "{faults:?}");
}

/// Two methods on one path are two declarations of the same.
#[test]
fn the_same_declaration_twice_is_no_fault() {
    let route = Route { path: "/dashboard", policy: PRO };
    assert!(PolicyTable::new(vec![route, route], &config().catalog).is_ok());
}

#[test]
fn the_verdict_goes_by_who_asks() {
    let catalog = config().catalog;
    let free = standing(false);
    let verdict = |path: &str, who| table().route(path).expect("it is declared").verdict(who, &catalog);
    assert_eq!(verdict("/", None), Verdict::Pass);
    assert_eq!(verdict("/dashboard", None), Verdict::SignIn);
    assert_eq!(verdict("/dashboard/analytics", None), Verdict::SignIn);
    assert_eq!(verdict("/dashboard", Some(&free)), Verdict::Pass);
    assert_eq!(verdict("/dashboard/analytics", Some(&free)), Verdict::Upgrade);
    assert_eq!(verdict("/dashboard/api-keys", Some(&free)), Verdict::Upgrade);
    assert_eq!(verdict("/dashboard/support", Some(&free)), Verdict::Upgrade);
}

/// For whom no plan would open it, it is not there.
#[test]
fn what_is_for_operators_is_hidden_from_everybody_else() {
    let (catalog, customer, operator) = (config().catalog, standing(false), standing(true));
    for path in ["/admin", "/admin/events", "/admin/accounts/0197ada"] {
        let verdict = |who| table().route(path).expect("it is declared").verdict(who, &catalog);
        assert_eq!(verdict(None), Verdict::SignIn, "{path}: they may turn out to be one");
        assert_eq!(verdict(Some(&customer)), Verdict::Hide, "{path}");
        assert_eq!(verdict(Some(&operator)), Verdict::Pass, "{path}");
    }
}

#[test]
fn an_operator_has_no_more_of_the_product_than_they_pay_for() {
    let catalog = config().catalog;
    let verdict = |path: &str| table().route(path).expect("it is declared").verdict(Some(&standing(true)), &catalog);
    assert_eq!(verdict("/dashboard"), Verdict::Pass);
    assert_eq!(verdict("/dashboard/analytics"), Verdict::Upgrade);
    assert_eq!(verdict("/dashboard/api-keys"), Verdict::Upgrade);
}

#[test]
fn the_upgrade_page_is_told_what_was_asked_for() {
    let feature = |path: &str| table().route(path).expect("it is declared").feature();
    assert_eq!(feature("/dashboard/analytics/x"), "advancedAnalytics");
    assert_eq!(feature("/dashboard/api-keys"), "api-keys");
}

#[test]
fn an_address_in_a_query_stays_one_value() {
    assert_eq!(login_address("/dashboard/analytics"), "/login?next=/dashboard/analytics");
    let odd = "/billing/success?session_id=cs_1&x=a b#c%\r\n";
    for address in [login_address(odd), upgrade_address("a&b", odd)] {
        let url = url::Url::parse("https://app.example.com").unwrap().join(&address).unwrap();
        let next = url.query_pairs().find(|(name, _)| name == "next").map(|(_, value)| value.into_owned());
        assert_eq!(next.as_deref(), Some(odd));
        assert!(url.fragment().is_none() && !address.contains(['\r', '\n', ' ']), "{address}");
    }
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

/// What means the border between two segments.
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
        // What a request names begins with a slash, whatever comes then.
        let path: String = segments.into_iter().map(|(border, segment)| border + &segment).collect();
        format!("/{path}{end}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_means_a_guarded_path_is_guarded_as_it(spelled in spelling("/dashboard/analytics")) {
        prop_assert_eq!(canonical(&spelled), Some("/dashboard/analytics".to_owned()), "{}", spelled);
    }

    #[test]
    fn whatever_means_the_api_keys_is_guarded_as_them(spelled in spelling("/dashboard/api-keys")) {
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
