//! What is in the database before anything is measured.

use anyhow::Context;
use billing::email::Email;
use billing::{CustomerId, Item, Period, Policy, PriceId, Status, Subscription, SubscriptionId};
use server::assets::Assets;
use server::clock::Clock;
use server::config::Config;
use server::store::{customers, subscriptions};
use server::{Db, Tollgate, access, auth, workspace};

use crate::run::AtStripe;

/// What everybody's password is.
pub const PASSWORD: &str = "correct horse battery";
/// How many accounts take turns.
pub const ACCOUNTS: usize = 64;

/// Somebody on the highest plan, who may call without end.
#[derive(Clone, Debug)]
pub struct Customer {
    /// With which they log in.
    pub email: String,
    /// `tg_…`
    pub api_key: String,
    /// Their account.
    pub account: String,
}

/// Makes the tables and the accounts. The first is the customer whom Stripe knows, too.
pub async fn seed(database: &str, stripe: &str, theirs: &AtStripe) -> anyhow::Result<Vec<Customer>> {
    let lookup = |name: &str| {
        Some(match name {
            "DATABASE_URL" => database.to_owned(),
            "STRIPE_API_BASE" => stripe.to_owned(),
            "STRIPE_SECRET_KEY" => "sk_test_sandbox".to_owned(),
            "STRIPE_WEBHOOK_SECRET" => crate::bare::SECRET.to_owned(),
            _ => return None,
        })
    };
    let config = Config::from_lookup(&lookup)?;
    let db = Db::connect(&config.database_url).await?;
    db.migrate().await?;
    let tollgate = Tollgate::new(config, db.clone(), Clock::system(), Assets::default())?;
    let mut customers = Vec::new();
    for number in 0..ACCOUNTS {
        let (id, subscription) = match number {
            0 => (theirs.customer.clone(), theirs.subscription.clone()),
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
    let who = identity.context("the address is taken")?.signed_in;
    let now = tollgate.now();
    let customer = CustomerId::new(id);
    let subscription = Subscription {
        id: SubscriptionId::new(subscription),
        customer: customer.clone(),
        status: Status::Active,
        items: vec![Item {
            id: format!("si_{number}"),
            price: PriceId::new("price_enterprise"),
            lookup_key: Some("tollgate_enterprise_month".to_owned()),
            quantity: 1,
            period: Period { start: now.plus_days(-10), end: now.plus_days(20) },
        }],
        created: now.plus_days(-10),
        billing_cycle_anchor: now.plus_days(-10),
        cancel_at_period_end: false,
        cancel_at: None,
        ended_at: None,
        trial_end: None,
        past_due_since: None,
        pause: None,
        last_known_tier: None,
    };
    let mut tx = tollgate.db().begin().await?;
    customers::link(&mut tx, &customer, &who.account_id, false, now).await?;
    subscriptions::write(&mut tx, &who.account_id, &subscription, None, "bench", now).await?;
    tx.commit().await?;
    let permit = access::require(tollgate, &who, Policy::Tier("ENTERPRISE")).await?;
    let api_key = workspace::create_api_key(tollgate, &permit, "bench").await?;
    Ok(Customer { email, api_key, account: who.account_id.to_string() })
}
