//! Invoices, payments and purchases stand under Stripe's own ids, are written whole, and the older
//! of two answers never comes last.

use billing::ledger::{
    Card, Dispute, DisputeStatus, Invoice, InvoiceStatus, LineItem, Payment, PaymentStatus, Purchase, Refund,
};
use billing::{
    AccountId, CheckoutSessionId, Currency, CustomerId, InvoiceId, Money, PaymentIntentId, PriceId, SubscriptionId,
    Timestamp,
};
use server::StoreError;
use server::product::AI_GENERATIONS;
use server::store::{After, Stored, invoices, payments, purchases};

use crate::engines::{NOW, Store, at_once};

fn money(minor: i64, currency: &str) -> Money {
    Money::new(minor, Currency::parse(currency).expect("it is a currency"))
}

/// A paid invoice of `cus_ada` with nothing in it that need not be.
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
        created: NOW,
        finalized_at: None,
        due_date: None,
        paid_at: None,
        next_payment_attempt: None,
        attempt_count: 0,
        payments: Vec::new(),
    }
}

/// A guest's payment with nothing in it that need not be.
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

async fn write_invoice(store: &Store, account: &AccountId, invoice: &Invoice, seen: Option<i64>) -> bool {
    let mut tx = store.db.begin().await.unwrap();
    let written = invoices::write(&mut tx, account, invoice, seen, NOW).await.unwrap();
    tx.commit().await.unwrap();
    written
}

async fn write_payment(store: &Store, account: &AccountId, payment: &Payment, seen: Option<i64>) -> bool {
    let mut tx = store.db.begin().await.unwrap();
    let written = payments::write(&mut tx, account, payment, seen, NOW).await.unwrap();
    tx.commit().await.unwrap();
    written
}

async fn write_purchase(store: &Store, account: &AccountId, purchase: &Purchase, seen: Option<i64>) -> bool {
    let mut tx = store.db.begin().await.unwrap();
    let written = purchases::write(&mut tx, account, purchase, seen, NOW).await.unwrap();
    tx.commit().await.unwrap();
    written
}

async fn stored_invoice(store: &Store, id: &str) -> Stored<Invoice> {
    invoices::by_id(&store.db, &InvoiceId::new(id)).await.unwrap().expect("it was written")
}

async fn stored_payment(store: &Store, id: &str) -> Stored<Payment> {
    let id = PaymentIntentId::new(id);
    let stored = payments::by_id(&store.db, &id).await.unwrap().expect("it was written");
    let mut tx = store.db.begin().await.unwrap();
    assert_eq!(
        payments::by_id_in(&mut tx, &id).await.unwrap().as_ref(),
        Some(&stored),
        "inside a transaction as outside"
    );
    stored
}

async fn stored_purchase(store: &Store, session: &str) -> Stored<Purchase> {
    purchases::by_session(&store.db, &CheckoutSessionId::new(session)).await.unwrap().expect("it was written")
}

/// Somebody with the customer `cus_ada`.
async fn ada(store: &Store) -> AccountId {
    let account = store.account("ada@example.com").await;
    store.customer(&account, "cus_ada").await;
    account
}

/// All of an account's invoices, in pages of `size`.
async fn invoices_in_pages(store: &Store, account: &AccountId, size: i64) -> Vec<String> {
    let (mut after, mut seen) = (After::start(), Vec::new());
    loop {
        let page = invoices::of_account(&store.db, account, &after, size).await.unwrap();
        assert!(i64::try_from(page.len()).unwrap() <= size);
        let Some(last) = page.last() else { return seen };
        after = After { at: last.created, key: last.id.to_string() };
        seen.extend(page.into_iter().map(|invoice| invoice.id.to_string()));
    }
}

/// All of an account's purchases with their payments, in pages of `size`.
async fn purchases_in_pages(store: &Store, account: &AccountId, size: i64) -> Vec<(String, Option<String>)> {
    let (mut after, mut seen) = (After::start(), Vec::new());
    loop {
        let page = purchases::of_account(&store.db, account, &after, size).await.unwrap();
        assert!(i64::try_from(page.len()).unwrap() <= size);
        let Some((last, _)) = page.last() else { return seen };
        after = After { at: last.created, key: last.session.to_string() };
        seen.extend(
            page.into_iter().map(|(purchase, payment)| {
                (purchase.session.to_string(), payment.map(|payment| payment.id.to_string()))
            }),
        );
    }
}

async fn oldest_open(store: &Store, account: &AccountId, subscription: &str) -> Option<String> {
    let found = invoices::oldest_open(&store.db, account, &SubscriptionId::new(subscription)).await.unwrap();
    found.map(|invoice| invoice.id.to_string())
}

/// Where a broken row says that it is.
fn place(error: &StoreError) -> (&'static str, &str, &'static str) {
    match error {
        StoreError::BadRow { table, row, column, .. } => (table, row, column),
        other => panic!("{other}"),
    }
}

on_both_engines! {
    async fn an_invoice_comes_back_as_it_was_written(store) {
        let account = ada(&store).await;
        let full = Invoice {
            subscription: Some(SubscriptionId::new("sub_1")),
            number: Some("ADA-0001".to_owned()),
            status: InvoiceStatus::Open,
            reason: Some("subscription_cycle".to_owned()),
            total: money(9_000_000_000_000, "jpy"),
            amount_due: 4_900,
            amount_paid: 1_000,
            amount_remaining: 3_900,
            finalized_at: Some(Timestamp(2)),
            due_date: Some(Timestamp(3)),
            paid_at: Some(Timestamp(4)),
            next_payment_attempt: Some(Timestamp(5)),
            attempt_count: 3,
            payments: ["pi_1", "pi_2"].map(PaymentIntentId::new).to_vec(),
            ..invoice("in_1")
        };
        assert!(write_invoice(&store, &account, &full, None).await);
        assert_eq!(stored_invoice(&store, "in_1").await, Stored { object: full, account: account.clone(), version: 1 });
        // What was there and is not any more must not stay behind.
        let bare = Invoice { total: money(-500, "usd"), ..invoice("in_1") };
        assert!(write_invoice(&store, &account, &bare, Some(1)).await);
        assert_eq!(stored_invoice(&store, "in_1").await, Stored { object: bare, account, version: 2 });
        assert!(invoices::by_id(&store.db, &InvoiceId::new("in_none")).await.unwrap().is_none());
    }

    async fn a_payment_comes_back_as_it_was_written(store) {
        let account = ada(&store).await;
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
            description: Some("500 AI generations".to_owned()),
            charge: Some("ch_1".to_owned()),
            amount_refunded: 500,
            refunds: vec![refund("re_1", "succeeded"), refund("re_2", "failed"), refund("re_3", "tomorrows")],
            is_disputed: true,
            disputes: vec![dispute("dp_1", "won"), dispute("dp_2", "warning_closed"), dispute("dp_3", "tomorrows")],
            card: Some(Card { brand: "visa".to_owned(), last4: "4242".to_owned() }),
            receipt_url: Some("https://pay.stripe.com/receipts/1".to_owned()),
            failure: Some("Your card was declined.".to_owned()),
            failure_code: Some("card_declined".to_owned()),
            ..payment("pi_1")
        };
        assert!(write_payment(&store, &account, &full, None).await);
        assert_eq!(stored_payment(&store, "pi_1").await, Stored { object: full, account: account.clone(), version: 1 });
        assert!(write_payment(&store, &account, &payment("pi_1"), Some(1)).await);
        assert_eq!(stored_payment(&store, "pi_1").await, Stored { object: payment("pi_1"), account, version: 2 });
        assert!(payments::by_id(&store.db, &PaymentIntentId::new("pi_none")).await.unwrap().is_none());
    }

    async fn a_purchase_comes_back_as_it_was_written(store) {
        let account = ada(&store).await;
        let line = LineItem {
            description: "500 AI generations".to_owned(),
            price: Some(PriceId::new("price_ai")),
            lookup_key: Some("tollgate_ai_500".to_owned()),
            quantity: 2,
            amount: 3_000,
            product: Some("ai-500".to_owned()),
            grants: Some((AI_GENERATIONS, 1_000)),
        };
        let gift = LineItem { price: None, lookup_key: None, amount: 0, product: None, grants: None, ..line.clone() };
        let full = Purchase {
            payment: Some(PaymentIntentId::new("pi_1")),
            is_paid: false,
            total: money(3_000, "eur"),
            items: vec![line, gift],
            ..purchase("cs_1")
        };
        assert!(write_purchase(&store, &account, &full, None).await);
        assert_eq!(stored_purchase(&store, "cs_1").await, Stored { object: full, account: account.clone(), version: 1 });
        assert!(write_purchase(&store, &account, &purchase("cs_1"), Some(1)).await);
        assert_eq!(stored_purchase(&store, "cs_1").await, Stored { object: purchase("cs_1"), account, version: 2 });
        assert!(purchases::by_session(&store.db, &CheckoutSessionId::new("cs_none")).await.unwrap().is_none());
    }

    async fn every_status_comes_back_even_one_that_is_new(store) {
        let account = ada(&store).await;
        for word in ["draft", "open", "paid", "void", "uncollectible", "hibernating"] {
            let written = Invoice { status: InvoiceStatus::from(word.to_owned()), ..invoice(&format!("in_{word}")) };
            assert!(write_invoice(&store, &account, &written, None).await);
            assert_eq!(stored_invoice(&store, written.id.as_str()).await.object.status.as_str(), word);
        }
        for word in [
            "requires_payment_method", "requires_confirmation", "requires_action", "processing", "requires_capture",
            "canceled", "succeeded", "hibernating",
        ] {
            let written = Payment { status: PaymentStatus::from(word.to_owned()), ..payment(&format!("pi_{word}")) };
            assert!(write_payment(&store, &account, &written, None).await);
            assert_eq!(stored_payment(&store, written.id.as_str()).await.object.status.as_str(), word);
        }
    }

    /// The same object under a new event id, or in a second answer to one question.
    async fn what_is_told_twice_is_written_once(store) {
        let account = ada(&store).await;
        assert!(write_invoice(&store, &account, &invoice("in_1"), None).await);
        assert!(write_payment(&store, &account, &payment("pi_1"), None).await);
        assert!(write_purchase(&store, &account, &purchase("cs_1"), None).await);
        assert!(!write_invoice(&store, &account, &invoice("in_1"), None).await);
        assert!(!write_payment(&store, &account, &payment("pi_1"), None).await);
        assert!(!write_purchase(&store, &account, &purchase("cs_1"), None).await);
        assert_eq!(invoices_in_pages(&store, &account, 10).await, ["in_1"]);
        assert_eq!(purchases_in_pages(&store, &account, 10).await, [("cs_1".to_owned(), None)]);
        assert_eq!(stored_payment(&store, "pi_1").await.version, 1);
    }

    async fn the_second_of_two_who_saw_the_same_version_is_refused(store) {
        let account = ada(&store).await;
        write_invoice(&store, &account, &Invoice { status: InvoiceStatus::Open, ..invoice("in_1") }, None).await;
        assert!(write_invoice(&store, &account, &invoice("in_1"), Some(1)).await);
        let older = Invoice { status: InvoiceStatus::Open, attempt_count: 1, ..invoice("in_1") };
        assert!(!write_invoice(&store, &account, &older, Some(1)).await, "it may hold the older answer");
        assert_eq!(stored_invoice(&store, "in_1").await.object.status, InvoiceStatus::Paid);

        write_payment(&store, &account, &payment("pi_1"), None).await;
        assert!(write_payment(&store, &account, &Payment { amount_refunded: 1_500, ..payment("pi_1") }, Some(1)).await);
        assert!(!write_payment(&store, &account, &Payment { amount_refunded: 500, ..payment("pi_1") }, Some(1)).await);
        assert_eq!(stored_payment(&store, "pi_1").await.object.amount_refunded, 1_500);

        write_purchase(&store, &account, &Purchase { is_paid: false, ..purchase("cs_1") }, None).await;
        assert!(write_purchase(&store, &account, &purchase("cs_1"), Some(1)).await);
        let older = Purchase { is_paid: false, ..purchase("cs_1") };
        assert!(!write_purchase(&store, &account, &older, Some(1)).await);
        assert!(stored_purchase(&store, "cs_1").await.object.is_paid);
    }

    async fn nothing_is_updated_that_is_not_there(store) {
        let account = ada(&store).await;
        assert!(!write_invoice(&store, &account, &invoice("in_1"), Some(1)).await);
        assert!(!write_payment(&store, &account, &payment("pi_1"), Some(1)).await);
        assert!(!write_purchase(&store, &account, &purchase("cs_1"), Some(1)).await);
    }

    async fn of_many_who_write_at_once_one_wins(store) {
        let account = ada(&store).await;
        for seen in [None, Some(1), Some(2)] {
            let written = at_once(12, |_| {
                let (store, account) = (store.clone(), account.clone());
                async move {
                    [
                        write_invoice(&store, &account, &invoice("in_1"), seen).await,
                        write_payment(&store, &account, &payment("pi_1"), seen).await,
                        write_purchase(&store, &account, &purchase("cs_1"), seen).await,
                    ]
                }
            })
            .await;
            for kind in 0..3 {
                assert_eq!(written.iter().filter(|each| each[kind]).count(), 1, "kind {kind}, seen {seen:?}");
            }
        }
        assert_eq!(stored_invoice(&store, "in_1").await.version, 3);
        assert_eq!(stored_payment(&store, "pi_1").await.version, 3);
        assert_eq!(stored_purchase(&store, "cs_1").await.version, 3);
    }

    async fn invoices_of_one_second_are_all_on_some_page_and_none_on_two(store) {
        let account = ada(&store).await;
        let other = store.account("eve@example.com").await;
        // Three each in one second; the later second comes first, and within it the greater id.
        for n in 0..9 {
            let written = Invoice { created: NOW.plus_seconds(n / 3), ..invoice(&format!("in_{n}")) };
            assert!(write_invoice(&store, &account, &written, None).await);
        }
        assert!(write_invoice(&store, &other, &Invoice { created: NOW.plus_seconds(1), ..invoice("in_eve") }, None).await);
        let newest_first: Vec<String> = (0..9).rev().map(|n| format!("in_{n}")).collect();
        for size in [1, 2, 4, 9, 100] {
            assert_eq!(invoices_in_pages(&store, &account, size).await, newest_first, "in pages of {size}");
        }
        assert_eq!(invoices_in_pages(&store, &other, 2).await, ["in_eve"]);
    }

    async fn an_invoice_that_was_not_issued_or_given_up_is_not_listed(store) {
        let account = ada(&store).await;
        for word in ["draft", "open", "paid", "void", "uncollectible", "hibernating"] {
            let written = Invoice { status: InvoiceStatus::from(word.to_owned()), ..invoice(&format!("in_{word}")) };
            assert!(write_invoice(&store, &account, &written, None).await);
        }
        let listed = invoices_in_pages(&store, &account, 2).await;
        assert_eq!(listed, ["in_uncollectible", "in_paid", "in_open", "in_hibernating"]);
    }

    async fn purchases_are_listed_with_what_became_of_their_payments(store) {
        let account = ada(&store).await;
        let other = store.account("eve@example.com").await;
        for n in 0..9 {
            // Of every three one is of nothing, and of one the payment is not heard of yet.
            let id = format!("pi_{n}");
            let bought = Purchase {
                payment: (n % 3 != 0).then(|| PaymentIntentId::new(&id)),
                created: NOW.plus_seconds(n / 4),
                ..purchase(&format!("cs_{n}"))
            };
            if n % 3 == 1 {
                let paid = Payment { amount_refunded: n, created: NOW.plus_days(-n), ..payment(&id) };
                assert!(write_payment(&store, &account, &paid, None).await);
            }
            assert!(write_purchase(&store, &account, &bought, None).await);
        }
        assert!(write_purchase(&store, &other, &purchase("cs_eve"), None).await);
        assert!(write_payment(&store, &account, &payment("pi_of_an_invoice"), None).await);

        let newest_first: Vec<(String, Option<String>)> =
            (0..9).rev().map(|n| (format!("cs_{n}"), (n % 3 == 1).then(|| format!("pi_{n}")))).collect();
        for size in [1, 2, 4, 9, 100] {
            assert_eq!(purchases_in_pages(&store, &account, size).await, newest_first, "in pages of {size}");
        }
        let (_, paid) = purchases::of_account(&store.db, &account, &After::start(), 2).await.unwrap().remove(1);
        assert_eq!(paid.expect("cs_7 was paid").amount_refunded, 7, "as the payment is now");
    }

    async fn a_payment_leads_to_what_it_bought(store) {
        let account = ada(&store).await;
        let bought = Purchase { payment: Some(PaymentIntentId::new("pi_1")), ..purchase("cs_1") };
        write_purchase(&store, &account, &bought, None).await;
        write_purchase(&store, &account, &purchase("cs_2"), None).await;
        let mut tx = store.db.begin().await.unwrap();
        let found = purchases::by_payment(&mut tx, &PaymentIntentId::new("pi_1")).await.unwrap();
        assert_eq!(found, Some(Stored { object: bought, account, version: 1 }));
        assert_eq!(purchases::by_payment(&mut tx, &PaymentIntentId::new("pi_2")).await.unwrap(), None);
    }

    async fn the_oldest_open_invoice_of_a_subscription_is_the_one_that_is_owed(store) {
        let account = ada(&store).await;
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
            assert!(write_invoice(&store, &account, &written, None).await);
        }
        assert_eq!(oldest_open(&store, &account, "sub_1").await.as_deref(), Some("in_a"));
        assert_eq!(oldest_open(&store, &account, "sub_2").await.as_deref(), Some("in_other"));
        assert_eq!(oldest_open(&store, &account, "sub_3").await, None);
        let other = store.account("eve@example.com").await;
        assert_eq!(oldest_open(&store, &other, "sub_1").await, None, "nobody is told what others owe");

        assert!(write_invoice(&store, &account, &of("in_a", InvoiceStatus::Paid, "sub_1", 5), Some(1)).await);
        assert_eq!(oldest_open(&store, &account, "sub_1").await.as_deref(), Some("in_b"));
    }

    async fn a_broken_row_says_where_it_is(store) {
        let account = ada(&store).await;
        write_invoice(&store, &account, &invoice("in_1"), None).await;
        write_payment(&store, &account, &payment("pi_1"), None).await;
        write_purchase(&store, &account, &purchase("cs_1"), None).await;
        for (table, row, column) in [
            ("invoice", "in_1", "payments"),
            ("invoice", "in_1", "currency"),
            ("payment", "pi_1", "disputes"),
            ("payment", "pi_1", "refunds"),
            ("payment", "pi_1", "currency"),
            ("purchase", "cs_1", "items"),
            ("purchase", "cs_1", "currency"),
        ] {
            store.raw(&format!("UPDATE {table} SET {column} = '{{\"no\": 1}}'")).await;
            let error = match table {
                "invoice" => invoices::of_account(&store.db, &account, &After::start(), 9).await.expect_err(column),
                "payment" => payments::by_id(&store.db, &PaymentIntentId::new("pi_1")).await.expect_err(column),
                _ => purchases::of_account(&store.db, &account, &After::start(), 9).await.expect_err(column),
            };
            assert_eq!(place(&error), (table, row, column));
        }
    }
}
