//! `plans.toml` declares the features and meters that code names.

use billing::{Catalog, CatalogErrors};
use server::product::{FEATURES, METERS};

const PLANS: &str = include_str!("../../../plans.toml");

fn catalog(text: &str) -> Catalog {
    Catalog::parse(text, &|_| None).unwrap()
}

fn check(catalog: &Catalog) -> Result<(), CatalogErrors> {
    catalog.check_declared(FEATURES, METERS)
}

#[test]
fn the_shipped_catalog_declares_every_feature_and_meter_of_the_app() {
    assert_eq!(check(&catalog(PLANS)), Ok(()));
}

#[test]
fn a_renamed_feature_or_meter_is_reported_with_the_declared_ones() {
    let renamed = PLANS.replace("prioritySupport", "fastSupport").replace("apiCallsPerMonth", "requests");
    let CatalogErrors(errors) = check(&catalog(&renamed)).unwrap_err();
    let [feature, meter] = errors.as_slice() else { panic!("{errors:?}") };
    assert!(feature.contains("`prioritySupport`") && feature.contains("fastSupport"), "{feature}");
    assert!(meter.contains("`apiCallsPerMonth`") && meter.contains("requests"), "{meter}");
}
