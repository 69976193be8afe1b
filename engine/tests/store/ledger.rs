//! Invoices, payments and purchases are stored under Stripe's ids and replaced as a whole, and the older of
//! two responses is never written last.

use billing::ledger::{
    Card, Dispute, DisputeStatus, Invoice, InvoiceStatus, LineItem, Payment, PaymentStatus, Purchase, Refund,
};
use billing::{
    AccountId, CheckoutSessionId, Currency, CustomerId, InvoiceId, Money, PaymentIntentId, PriceId, SubscriptionId,
    Timestamp,
};
use engine::StoreError;
use engine::store::purchases::PaidPurchase;
use engine::store::{Cursor, Stored, invoices, payments, purchases};

use crate::databases::{TestDatabase, concurrently};
use crate::samples::{EXPORTS, NOW};

fn money(minor: i64, currency: &str) -> Money {
    Money::new(minor, Currency::parse(currency).expect("the currency is valid"))
}

/// A paid invoice of `cus_ada` without anything optional.
fn invoice(id: &str) -> Invoice {
    Invoice {
        id: InvoiceId::new(id),
        customer: CustomerId::new("cus_ada"),
        subscription: None,
        number: None,
        status: InvoiceStatus::Paid,
        reason: None,
        total: money(0, "usd"),
        amount_due: 0,
        amount_paid: 0,
        amount_remaining: 0,
        credited_before_payment: 0,
        credited_after_payment: 0,
        period_end: None,
        created: NOW,
        finalized_at: None,
        due_date: None,
        paid_at: None,
        next_payment_attempt: None,
        attempt_count: 0,
        payments: Vec::new(),
    }
}

/// A guest's payment without anything optional.
fn payment(id: &str) -> Payment {
    Payment {
        id: PaymentIntentId::new(id),
        customer: None,
        status: PaymentStatus::Succeeded,
        amount: money(1_500, "usd"),
        description: None,
        charge: None,
        amount_refunded: 0,
        refunds: Vec::new(),
        is_disputed: false,
        disputes: Vec::new(),
        card: None,
        receipt_url: None,
        failure: None,
        failure_code: None,
        created: NOW,
    }
}

/// A purchase of nothing.
fn purchase(session: &str) -> Purchase {
    Purchase {
        session: CheckoutSessionId::new(session),
        payment: None,
        is_paid: true,
        total: money(0, "usd"),
        items: Vec::new(),
        created: NOW,
    }
}

async fn write_invoice(database: &TestDatabase, account: &AccountId, invoice: &Invoice, seen: Option<i64>) -> bool {
    let mut tx = database.db.begin().await.unwrap();
    let written = invoices::write(&mut tx, account, invoice, seen.unwrap_or_default(), NOW).await.unwrap();
    tx.commit().await.unwrap();
    written
}

async fn write_payment(database: &TestDatabase, account: &AccountId, payment: &Payment, seen: Option<i64>) -> bool {
    let mut tx = database.db.begin().await.unwrap();
    let written = payments::write(&mut tx, account, payment, seen.unwrap_or_default(), NOW).await.unwrap();
    tx.commit().await.unwrap();
    written
}

async fn write_purchase(database: &TestDatabase, account: &AccountId, purchase: &Purchase, seen: Option<i64>) -> bool {
    let mut tx = database.db.begin().await.unwrap();
    let written = purchases::write(&mut tx, account, purchase, seen.unwrap_or_default(), NOW).await.unwrap();
    tx.commit().await.unwrap();
    written
}

async fn stored_invoice(database: &TestDatabase, id: &str) -> Stored<Invoice> {
    invoices::by_id(&database.db, &InvoiceId::new(id)).await.unwrap().expect("it was written")
}

async fn stored_payment(database: &TestDatabase, id: &str) -> Stored<Payment> {
    let id = PaymentIntentId::new(id);
    let stored = payments::by_id(&database.db, &id).await.unwrap().expect("it was written");
    let mut tx = database.db.begin().await.unwrap();
    assert_eq!(
        payments::by_id_in(&mut tx, &id).await.unwrap().as_ref(),
        Some(&stored),
        "inside a transaction as outside"
    );
    stored
}

async fn stored_purchase(database: &TestDatabase, session: &str) -> Stored<Purchase> {
    purchases::by_session(&database.db, &CheckoutSessionId::new(session)).await.unwrap().expect("it was written")
}

/// An account with the customer `cus_ada`.
async fn ada(database: &TestDatabase) -> AccountId {
    let account = database.account("ada@example.com").await;
    database.customer(&account, "cus_ada").await;
    account
}

/// All of an account's invoices, in pages of `size`.
async fn invoices_in_pages(database: &TestDatabase, account: &AccountId, size: i64) -> Vec<String> {
    let (mut after, mut seen) = (Cursor::start(), Vec::new());
    loop {
        let page = invoices::of_account(&database.db, account, &after, size).await.unwrap();
        assert!(i64::try_from(page.len()).unwrap() <= size);
        let Some(last) = page.last() else { return seen };
        after = Cursor { at: last.created, key: last.id.to_string() };
        seen.extend(page.into_iter().map(|invoice| invoice.id.to_string()));
    }
}

/// All of an account's purchases with their payments, in pages of `size`.
async fn purchases_in_pages(database: &TestDatabase, account: &AccountId, size: i64) -> Vec<(String, Option<String>)> {
    let (mut after, mut seen) = (Cursor::start(), Vec::new());
    loop {
        let page = purchases::of_account(&database.db, account, &after, size).await.unwrap();
        assert!(i64::try_from(page.len()).unwrap() <= size);
        let Some(PaidPurchase { purchase: last, .. }) = page.last() else { return seen };
        after = Cursor { at: last.created, key: last.session.to_string() };
        seen.extend(page.into_iter().map(|PaidPurchase { purchase, payment }| {
            (purchase.session.to_string(), payment.map(|payment| payment.id.to_string()))
        }));
    }
}

async fn oldest_open(database: &TestDatabase, account: &AccountId, subscription: &str) -> Option<String> {
    let found = invoices::oldest_open(&database.db, account, &SubscriptionId::new(subscription)).await.unwrap();
    found.map(|invoice| invoice.id.to_string())
}

/// The table, key and column that an error about a corrupt row names.
fn location(error: &StoreError) -> (&'static str, &str, &'static str) {
    match error {
        StoreError::CorruptRow { table, row, column, .. } => (table, row, column),
        other => panic!("{other}"),
    }
}

on_both_databases! {
    async fn an_invoice_is_read_back_as_it_was_written(database) {
        let account = ada(&database).await;
        let full = Invoice {
            subscription: Some(SubscriptionId::new("sub_1")),
            number: Some("ADA-0001".to_owned()),
            status: InvoiceStatus::Open,
            reason: Some("subscription_cycle".to_owned()),
            total: money(9_000_000_000_000, "jpy"),
            amount_due: 4_900,
            amount_paid: 1_000,
            amount_remaining: 3_900,
            credited_before_payment: 100,
            credited_after_payment: 200,
            period_end: Some(Timestamp(6)),
            finalized_at: Some(Timestamp(2)),
            due_date: Some(Timestamp(3)),
            paid_at: Some(Timestamp(4)),
            next_payment_attempt: Some(Timestamp(5)),
            attempt_count: 3,
            payments: ["pi_1", "pi_2"].map(PaymentIntentId::new).to_vec(),
            ..invoice("in_1")
        };
        assert!(write_invoice(&database, &account, &full, None).await);
        assert_eq!(
            stored_invoice(&database, "in_1").await,
            Stored { object: full, account: account.clone(), version: 1 }
        );
        // A removed value must not remain.
        let bare = Invoice { total: money(-500, "usd"), ..invoice("in_1") };
        assert!(write_invoice(&database, &account, &bare, Some(1)).await);
        assert_eq!(stored_invoice(&database, "in_1").await, Stored { object: bare, account, version: 2 });
        assert!(invoices::by_id(&database.db, &InvoiceId::new("in_none")).await.unwrap().is_none());
    }

    async fn a_payment_is_read_back_as_it_was_written(database) {
        let account = ada(&database).await;
        let refund = |id: &str, status: &str| Refund {
            id: id.to_owned(),
            amount: 500,
            status: status.to_owned(),
            created: Timestamp(7),
        };
        let dispute = |id: &str, status: &str| Dispute {
            id: id.to_owned(),
            amount: 1_000,
            status: DisputeStatus::from(status.to_owned()),
            reason: Some("fraudulent".to_owned()),
            created: Timestamp(8),
        };
        let full = Payment {
            customer: Some(CustomerId::new("cus_ada")),
            status: PaymentStatus::RequiresAction,
            amount: money(9_000_000_000_000, "kwd"),
            description: Some("500 exports".to_owned()),
            charge: Some("ch_1".to_owned()),
            amount_refunded: 500,
            refunds: vec![refund("re_1", "succeeded"), refund("re_2", "failed"), refund("re_3", "unheard_of")],
            is_disputed: true,
            disputes: vec![dispute("dp_1", "won"), dispute("dp_2", "warning_closed"), dispute("dp_3", "unheard_of")],
            card: Some(Card { brand: "visa".to_owned(), last4: "4242".to_owned() }),
            receipt_url: Some("https://pay.stripe.com/receipts/1".to_owned()),
            failure: Some("Your card was declined.".to_owned()),
            failure_code: Some("card_declined".to_owned()),
            ..payment("pi_1")
        };
        assert!(write_payment(&database, &account, &full, None).await);
        assert_eq!(
            stored_payment(&database, "pi_1").await,
            Stored { object: full, account: account.clone(), version: 1 }
        );
        assert!(write_payment(&database, &account, &payment("pi_1"), Some(1)).await);
        assert_eq!(stored_payment(&database, "pi_1").await, Stored { object: payment("pi_1"), account, version: 2 });
        assert!(payments::by_id(&database.db, &PaymentIntentId::new("pi_none")).await.unwrap().is_none());
    }

    async fn a_purchase_is_read_back_as_it_was_written(database) {
        let account = ada(&database).await;
        let line = LineItem {
            description: "500 exports".to_owned(),
            price: Some(PriceId::new("price_exports")),
            lookup_key: Some("tollgate_exports_500".to_owned()),
            quantity: 2,
            amount: 3_000,
            product: Some("exports-500".to_owned()),
            grants: Some((EXPORTS, 1_000)),
        };
        let gift = LineItem { price: None, lookup_key: None, amount: 0, product: None, grants: None, ..line.clone() };
        let full = Purchase {
            payment: Some(PaymentIntentId::new("pi_1")),
            is_paid: false,
            total: money(3_000, "eur"),
            items: vec![line, gift],
            ..purchase("cs_1")
        };
        assert!(write_purchase(&database, &account, &full, None).await);
        assert_eq!(
            stored_purchase(&database, "cs_1").await,
            Stored { object: full, account: account.clone(), version: 1 }
        );
        assert!(write_purchase(&database, &account, &purchase("cs_1"), Some(1)).await);
        assert_eq!(stored_purchase(&database, "cs_1").await, Stored { object: purchase("cs_1"), account, version: 2 });
        assert!(purchases::by_session(&database.db, &CheckoutSessionId::new("cs_none")).await.unwrap().is_none());
    }

    async fn every_status_is_read_back_even_an_unknown_one(database) {
        let account = ada(&database).await;
        for word in ["draft", "open", "paid", "void", "uncollectible", "hibernating"] {
            let written = Invoice { status: InvoiceStatus::from(word.to_owned()), ..invoice(&format!("in_{word}")) };
            assert!(write_invoice(&database, &account, &written, None).await);
            assert_eq!(stored_invoice(&database, written.id.as_str()).await.object.status.as_str(), word);
        }
        for word in [
            "requires_payment_method",
            "requires_confirmation",
            "requires_action",
            "processing",
            "requires_capture",
            "canceled",
            "succeeded",
            "hibernating",
        ] {
            let written = Payment { status: PaymentStatus::from(word.to_owned()), ..payment(&format!("pi_{word}")) };
            assert!(write_payment(&database, &account, &written, None).await);
            assert_eq!(stored_payment(&database, written.id.as_str()).await.object.status.as_str(), word);
        }
    }

    /// Stripe reports the same object in another event, or returns it twice.
    async fn an_object_that_is_reported_twice_is_stored_once(database) {
        let account = ada(&database).await;
        assert!(write_invoice(&database, &account, &invoice("in_1"), None).await);
        assert!(write_payment(&database, &account, &payment("pi_1"), None).await);
        assert!(write_purchase(&database, &account, &purchase("cs_1"), None).await);
        assert!(!write_invoice(&database, &account, &invoice("in_1"), None).await);
        assert!(!write_payment(&database, &account, &payment("pi_1"), None).await);
        assert!(!write_purchase(&database, &account, &purchase("cs_1"), None).await);
        assert_eq!(invoices_in_pages(&database, &account, 10).await, ["in_1"]);
        assert_eq!(purchases_in_pages(&database, &account, 10).await, [("cs_1".to_owned(), None)]);
        assert_eq!(stored_payment(&database, "pi_1").await.version, 1);
    }

    async fn the_second_of_two_writes_that_read_the_same_version_is_rejected(database) {
        let account = ada(&database).await;
        write_invoice(&database, &account, &Invoice { status: InvoiceStatus::Open, ..invoice("in_1") }, None).await;
        assert!(write_invoice(&database, &account, &invoice("in_1"), Some(1)).await);
        let older = Invoice { status: InvoiceStatus::Open, attempt_count: 1, ..invoice("in_1") };
        assert!(!write_invoice(&database, &account, &older, Some(1)).await, "it may hold the older response");
        assert_eq!(stored_invoice(&database, "in_1").await.object.status, InvoiceStatus::Paid);

        write_payment(&database, &account, &payment("pi_1"), None).await;
        assert!(
            write_payment(&database, &account, &Payment { amount_refunded: 1_500, ..payment("pi_1") }, Some(1)).await
        );
        assert!(
            !write_payment(&database, &account, &Payment { amount_refunded: 500, ..payment("pi_1") }, Some(1)).await
        );
        assert_eq!(stored_payment(&database, "pi_1").await.object.amount_refunded, 1_500);

        write_purchase(&database, &account, &Purchase { is_paid: false, ..purchase("cs_1") }, None).await;
        assert!(write_purchase(&database, &account, &purchase("cs_1"), Some(1)).await);
        let older = Purchase { is_paid: false, ..purchase("cs_1") };
        assert!(!write_purchase(&database, &account, &older, Some(1)).await);
        assert!(stored_purchase(&database, "cs_1").await.object.is_paid);
    }

    async fn a_row_that_was_read_and_is_gone_is_written_again(database) {
        let account = ada(&database).await;
        assert!(write_invoice(&database, &account, &invoice("in_1"), Some(7)).await);
        assert!(write_payment(&database, &account, &payment("pi_1"), Some(7)).await);
        assert!(write_purchase(&database, &account, &purchase("cs_1"), Some(7)).await);
        assert_eq!(stored_invoice(&database, "in_1").await.version, 1);
        assert_eq!(stored_payment(&database, "pi_1").await.version, 1);
        assert_eq!(stored_purchase(&database, "cs_1").await.version, 1);
    }

    async fn only_one_of_many_concurrent_writes_of_one_version_succeeds(database) {
        let account = ada(&database).await;
        for seen in [None, Some(1), Some(2)] {
            let written = concurrently(12, |_| {
                let (database, account) = (database.clone(), account.clone());
                async move {
                    [
                        write_invoice(&database, &account, &invoice("in_1"), seen).await,
                        write_payment(&database, &account, &payment("pi_1"), seen).await,
                        write_purchase(&database, &account, &purchase("cs_1"), seen).await,
                    ]
                }
            })
            .await;
            for kind in 0..3 {
                assert_eq!(written.iter().filter(|each| each[kind]).count(), 1, "kind {kind}, seen {seen:?}");
            }
        }
        assert_eq!(stored_invoice(&database, "in_1").await.version, 3);
        assert_eq!(stored_payment(&database, "pi_1").await.version, 3);
        assert_eq!(stored_purchase(&database, "cs_1").await.version, 3);
    }

    async fn pages_of_invoices_join_without_a_gap(database) {
        let account = ada(&database).await;
        let other = database.account("eve@example.com").await;
        // Three of them in each second: the later second comes first, and within it the greater id.
        for n in 0..9 {
            let written = Invoice { created: NOW.plus_seconds(n / 3), ..invoice(&format!("in_{n}")) };
            assert!(write_invoice(&database, &account, &written, None).await);
        }
        assert!(
            write_invoice(&database, &other, &Invoice { created: NOW.plus_seconds(1), ..invoice("in_eve") }, None)
                .await
        );
        let newest_first: Vec<String> = (0..9).rev().map(|n| format!("in_{n}")).collect();
        for size in [1, 2, 4, 9, 100] {
            assert_eq!(invoices_in_pages(&database, &account, size).await, newest_first, "in pages of {size}");
        }
        assert_eq!(invoices_in_pages(&database, &other, 2).await, ["in_eve"]);
    }

    async fn drafts_and_void_invoices_are_not_listed(database) {
        let account = ada(&database).await;
        for word in ["draft", "open", "paid", "void", "uncollectible", "hibernating"] {
            let written = Invoice { status: InvoiceStatus::from(word.to_owned()), ..invoice(&format!("in_{word}")) };
            assert!(write_invoice(&database, &account, &written, None).await);
        }
        let listed = invoices_in_pages(&database, &account, 2).await;
        assert_eq!(listed, ["in_uncollectible", "in_paid", "in_open", "in_hibernating"]);
    }

    async fn purchases_are_listed_with_their_payments(database) {
        let account = ada(&database).await;
        let other = database.account("eve@example.com").await;
        for n in 0..9 {
            // Of every three, one was free, and one has a payment that is not stored yet.
            let id = format!("pi_{n}");
            let bought = Purchase {
                payment: (n % 3 != 0).then(|| PaymentIntentId::new(&id)),
                created: NOW.plus_seconds(n / 4),
                ..purchase(&format!("cs_{n}"))
            };
            if n % 3 == 1 {
                let paid = Payment { amount_refunded: n, created: NOW.plus_days(-n), ..payment(&id) };
                assert!(write_payment(&database, &account, &paid, None).await);
            }
            assert!(write_purchase(&database, &account, &bought, None).await);
        }
        assert!(write_purchase(&database, &other, &purchase("cs_eve"), None).await);
        assert!(write_payment(&database, &account, &payment("pi_of_an_invoice"), None).await);

        let newest_first: Vec<(String, Option<String>)> =
            (0..9).rev().map(|n| (format!("cs_{n}"), (n % 3 == 1).then(|| format!("pi_{n}")))).collect();
        for size in [1, 2, 4, 9, 100] {
            assert_eq!(purchases_in_pages(&database, &account, size).await, newest_first, "in pages of {size}");
        }
        let paid = purchases::of_account(&database.db, &account, &Cursor::start(), 2).await.unwrap().remove(1).payment;
        assert_eq!(paid.expect("cs_7 was paid").amount_refunded, 7, "as the payment is now");
    }

    async fn a_purchase_is_found_by_its_payment(database) {
        let account = ada(&database).await;
        let bought = Purchase { payment: Some(PaymentIntentId::new("pi_1")), ..purchase("cs_1") };
        write_purchase(&database, &account, &bought, None).await;
        write_purchase(&database, &account, &purchase("cs_2"), None).await;
        let mut tx = database.db.begin().await.unwrap();
        let found = purchases::by_payment(&mut tx, &PaymentIntentId::new("pi_1")).await.unwrap();
        assert_eq!(found, Some(Stored { object: bought, account, version: 1 }));
        assert_eq!(purchases::by_payment(&mut tx, &PaymentIntentId::new("pi_2")).await.unwrap(), None);
    }

    async fn the_oldest_open_invoice_of_a_subscription_is_found(database) {
        let account = ada(&database).await;
        let of = |id: &str, status, subscription: &str, day| Invoice {
            status,
            subscription: Some(SubscriptionId::new(subscription)),
            created: NOW.plus_days(day),
            ..invoice(id)
        };
        for written in [
            of("in_paid", InvoiceStatus::Paid, "sub_1", 0),
            of("in_given_up", InvoiceStatus::Uncollectible, "sub_1", 1),
            of("in_newest", InvoiceStatus::Open, "sub_1", 9),
            of("in_b", InvoiceStatus::Open, "sub_1", 5),
            of("in_a", InvoiceStatus::Open, "sub_1", 5),
            of("in_draft", InvoiceStatus::Draft, "sub_1", 2),
            of("in_other", InvoiceStatus::Open, "sub_2", 3),
            Invoice { status: InvoiceStatus::Open, created: NOW, ..invoice("in_of_none") },
        ] {
            assert!(write_invoice(&database, &account, &written, None).await);
        }
        assert_eq!(oldest_open(&database, &account, "sub_1").await.as_deref(), Some("in_a"));
        assert_eq!(oldest_open(&database, &account, "sub_2").await.as_deref(), Some("in_other"));
        assert_eq!(oldest_open(&database, &account, "sub_3").await, None);
        let other = database.account("eve@example.com").await;
        assert_eq!(oldest_open(&database, &other, "sub_1").await, None, "another account does not see it");

        assert!(write_invoice(&database, &account, &of("in_a", InvoiceStatus::Paid, "sub_1", 5), Some(1)).await);
        assert_eq!(oldest_open(&database, &account, "sub_1").await.as_deref(), Some("in_b"));
    }

    async fn a_corrupt_row_reports_its_table_key_and_column(database) {
        let account = ada(&database).await;
        write_invoice(&database, &account, &invoice("in_1"), None).await;
        write_payment(&database, &account, &payment("pi_1"), None).await;
        write_purchase(&database, &account, &purchase("cs_1"), None).await;
        for (table, row, column) in [
            ("invoice", "in_1", "payments"),
            ("invoice", "in_1", "currency"),
            ("payment", "pi_1", "disputes"),
            ("payment", "pi_1", "refunds"),
            ("payment", "pi_1", "currency"),
            ("purchase", "cs_1", "items"),
            ("purchase", "cs_1", "currency"),
        ] {
            database.execute(&format!("UPDATE {table} SET {column} = '{{\"no\": 1}}'")).await;
            let error = match table {
                "invoice" => invoices::of_account(&database.db, &account, &Cursor::start(), 9).await.expect_err(column),
                "payment" => payments::by_id(&database.db, &PaymentIntentId::new("pi_1")).await.expect_err(column),
                _ => purchases::of_account(&database.db, &account, &Cursor::start(), 9).await.expect_err(column),
            };
            assert_eq!(location(&error), (table, row, column));
        }
    }
}
