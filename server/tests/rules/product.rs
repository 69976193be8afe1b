//! The features and meters that code names have to be declared in `plans.toml`.

use billing::{Catalog, CatalogErrors};
use server::product;

const PLANS: &str = include_str!("../../../plans.toml");

fn catalog(text: &str) -> Catalog {
    Catalog::parse(text, &|_| None).unwrap()
}

#[test]
fn the_shipped_catalogue_declares_everything_the_app_names() {
    assert_eq!(product::check(&catalog(PLANS)), Ok(()));
}

#[test]
fn a_renamed_feature_or_meter_is_reported_with_what_the_file_declares() {
    let renamed = PLANS.replace("prioritySupport", "fastSupport").replace("apiCallsPerMonth", "requests");
    let CatalogErrors(errors) = product::check(&catalog(&renamed)).unwrap_err();
    let [feature, meter] = errors.as_slice() else { panic!("{errors:?}") };
    assert!(feature.contains("`prioritySupport`") && feature.contains("fastSupport"), "{feature}");
    assert!(meter.contains("`apiCallsPerMonth`") && meter.contains("requests"), "{meter}");
}
