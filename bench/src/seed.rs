//! The accounts in the database before a measurement.

use anyhow::Context;
use billing::email::Email;
use billing::{CustomerId, Item, Period, Policy, PriceId, Subscription, SubscriptionId};
use engine::Db;
use engine::clock::Clock;
use engine::store::{customers, subscriptions};
use server::assets::Assets;
use server::config::Config;
use server::workspace::api_keys;
use server::{Tollgate, auth, store};

use crate::signature::SECRET;
use crate::subscriber::Subscriber;

/// The password of every account.
pub const PASSWORD: &str = "correct horse battery";
/// The number of accounts; requests rotate through them.
pub const ACCOUNTS: usize = 64;

/// A customer on the highest plan, which has no limits.
#[derive(Clone, Debug)]
pub struct Customer {
    /// The e-mail address to log in with.
    pub email: String,
    /// An API key, `tg_…`.
    pub api_key: String,
    /// The id of the account.
    pub account: String,
}

/// Creates the tables and the accounts. The first account belongs to the subscriber in the sandbox.
pub async fn seed(database: &str, stripe: &str, subscriber: &Subscriber) -> anyhow::Result<Vec<Customer>> {
    let lookup = |name: &str| {
        Some(match name {
            "DATABASE_URL" => database.to_owned(),
            "STRIPE_API_BASE" => stripe.to_owned(),
            "STRIPE_SECRET_KEY" => "sk_test_sandbox".to_owned(),
            "STRIPE_WEBHOOK_SECRET" => SECRET.to_owned(),
            _ => return None,
        })
    };
    let config = Config::from_lookup(&lookup)?;
    let db = Db::connect(&config.database_url).await?;
    store::migrate(&db).await?;
    let tollgate = Tollgate::new(config, db.clone(), Clock::system(), Assets::default())?;
    let mut customers = Vec::new();
    for number in 0..ACCOUNTS {
        let (id, subscription) = match number {
            0 => (subscriber.customer.clone(), subscriber.subscription.clone()),
            _ => (format!("cus_{number}"), format!("sub_{number}")),
        };
        customers.push(customer(&tollgate, number, &id, &subscription).await?);
    }
    db.close().await;
    Ok(customers)
}

async fn customer(tollgate: &Tollgate, number: usize, id: &str, subscription: &str) -> anyhow::Result<Customer> {
    let email = format!("user{number}@example.com");
    let identity = auth::create_user(tollgate, &Email::parse(&email)?, PASSWORD.to_owned()).await?;
    let signed_in = identity.context("the address is taken")?.signed_in;
    let now = tollgate.now();
    let customer = CustomerId::new(id);
    let item = Item {
        id: format!("si_{number}"),
        price: PriceId::new("price_enterprise"),
        lookup_key: Some("tollgate_enterprise_month".to_owned()),
        quantity: 1,
        period: Period { start: now.plus_days(-10), end: now.plus_days(20) },
    };
    let subscription = Subscription::active(SubscriptionId::new(subscription), customer.clone(), vec![item]);
    let mut tx = tollgate.db().begin().await?;
    customers::link(&mut tx, &customer, &signed_in.account_id, false, now).await?;
    subscriptions::write(&mut tx, &signed_in.account_id, &subscription, None, "bench", now).await?;
    tx.commit().await?;
    let entitlement = tollgate.entitlement(&signed_in.account_id).await?;
    let billable = engine::Billable::new(signed_in.account_id.as_str(), &email);
    let permit = engine::permit(tollgate.catalog(), &billable, entitlement, Policy::Tier("ENTERPRISE"))?;
    let api_key = api_keys::create_api_key(tollgate, &permit, "bench").await?;
    Ok(Customer { email, api_key, account: signed_in.account_id.to_string() })
}
