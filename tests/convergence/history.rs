//! What can happen to a customer, and how its events are delivered.

use proptest::prelude::*;

use crate::node::UNLINKED;

/// One thing that happens, and how the second node receives the events about it.
#[derive(Clone, Debug)]
pub struct Step {
    pub what: What,
    /// To which of the people.
    pub who: usize,
    pub conditions: Conditions,
}

/// What happens at Stripe.
#[derive(Clone, Copy, Debug)]
pub enum What {
    Subscribe {
        plan: Plan,
        card: Card,
    },
    /// An operator makes a subscription at Stripe, whatever there is already.
    SubscribeByHand {
        plan: Plan,
        how: ByHand,
    },
    Buy {
        large: bool,
        card: Card,
    },
    /// By bank debit, which takes days and may fail.
    BuyByDebit {
        fails: bool,
    },
    /// A purchase is begun and never paid.
    Abandon,
    /// A guest pays, without a customer.
    GuestPays,
    /// The clock advances to what is due next: a trial ends, a period begins, a payment is retried.
    NextDue,
    /// The clock advances.
    Days(u8),
    /// The next charges are declined.
    Decline {
        charges: u8,
    },
    /// Sets what follows the last retry from now on.
    AfterLastRetry(After),
    /// The oldest open invoice is paid by hand.
    PayOpenInvoice,
    VoidOpenInvoice,
    GiveUpOpenInvoice,
    Upgrade,
    /// An upgrade that waits for its payment.
    UpgradeOncePaid,
    Downgrade,
    /// From months to years, or back.
    SwitchInterval,
    CancelAtPeriodEnd,
    TakeCancellationBack,
    CancelNow,
    /// Invoices are not collected for a while.
    PauseCollection(Invoices),
    ResumeCollection,
    /// A subscription that paused because its trial ended without a card gets one, and resumes.
    Resume,
    RefundPart,
    RefundAll,
    Dispute(Dispute),
    /// The bank inquires, and the payment is refunded.
    RefundTheDisputed,
    Rename,
    /// Rare: it ends every subscription.
    DeleteCustomer,
    /// The customer that an operator created is given its account.
    Link,
}

/// A plan at an interval.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub enterprise: bool,
    pub yearly: bool,
}

/// How a subscription that an operator creates is paid.
#[derive(Clone, Copy, Debug)]
pub enum ByHand {
    Card,
    /// The bank asks for the cardholder, who is not there.
    CardThatAsks,
    /// First a trial, then it pauses because there is no card.
    Trial,
}

/// How a card behaves, by Stripe's test cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Card {
    Pays,
    /// The first is declined, the second pays.
    DeclinesFirst,
    /// Asks for 3-D Secure every time.
    Asks,
    RefundsLate,
    /// A refund succeeds at first and fails a day later.
    RefundsFail,
    Disputed,
}

/// The status of a subscription after the last retry.
#[derive(Clone, Copy, Debug)]
pub enum After {
    Canceled,
    Unpaid,
    PastDue,
}

/// What happens to invoices while collection is paused.
#[derive(Clone, Copy, Debug)]
pub enum Invoices {
    Void,
    Uncollectible,
    Draft,
}

/// How a dispute goes.
#[derive(Clone, Copy, Debug)]
pub enum Dispute {
    /// The bank only inquires.
    Inquiry,
    Open,
    /// It is answered with evidence that wins, a minute later.
    Answered,
    Lost,
}

/// How the second node receives the events since the last step.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// Of the random numbers by which events are shuffled, duplicated, delayed and lost.
    pub seed: u64,
    /// Events come in the API version before basil.
    pub old_version: bool,
    /// The node restarts before it receives anything.
    pub restart: bool,
    /// A worker claims what is due, and dies.
    pub dead_worker: bool,
    /// Stripe fails for a while.
    pub outage: bool,
    /// The node still applies events while the next thing happens, and receives the events about it.
    pub meanwhile: bool,
}

fn what() -> impl Strategy<Value = What> {
    let each = |weight, what: What| (weight, Just(what).boxed());
    let purchases = vec![
        (6, (plan(), card()).prop_map(|(plan, card)| What::Subscribe { plan, card }).boxed()),
        (4, (plan(), by_hand()).prop_map(|(plan, how)| What::SubscribeByHand { plan, how }).boxed()),
        (5, (any::<bool>(), card()).prop_map(|(large, card)| What::Buy { large, card }).boxed()),
        (2, any::<bool>().prop_map(|fails| What::BuyByDebit { fails }).boxed()),
        each(1, What::Abandon),
        each(1, What::GuestPays),
    ];
    let time = vec![
        each(12, What::NextDue),
        (4, (1_u8..20).prop_map(What::Days).boxed()),
        (4, (1_u8..6).prop_map(|charges| What::Decline { charges }).boxed()),
        (
            2,
            prop::sample::select(vec![After::Canceled, After::Unpaid, After::PastDue])
                .prop_map(What::AfterLastRetry)
                .boxed(),
        ),
    ];
    let invoices =
        vec![each(4, What::PayOpenInvoice), each(1, What::VoidOpenInvoice), each(1, What::GiveUpOpenInvoice)];
    let changes = vec![
        each(3, What::Upgrade),
        each(2, What::UpgradeOncePaid),
        each(2, What::Downgrade),
        each(2, What::SwitchInterval),
        each(3, What::CancelAtPeriodEnd),
        each(3, What::TakeCancellationBack),
        each(1, What::CancelNow),
        (
            2,
            prop::sample::select(vec![Invoices::Void, Invoices::Uncollectible, Invoices::Draft])
                .prop_map(What::PauseCollection)
                .boxed(),
        ),
        each(2, What::ResumeCollection),
        each(3, What::Resume),
    ];
    let disputes = vec![Dispute::Inquiry, Dispute::Open, Dispute::Answered, Dispute::Lost];
    let money_back = vec![
        each(3, What::RefundPart),
        each(2, What::RefundAll),
        (3, prop::sample::select(disputes).prop_map(What::Dispute).boxed()),
        each(1, What::RefundTheDisputed),
    ];
    let customers = vec![each(1, What::Rename), each(1, What::DeleteCustomer), each(3, What::Link)];
    let all = [purchases, time, invoices, changes, money_back, customers];
    prop::strategy::Union::new_weighted(all.into_iter().flatten().collect())
}

/// Sequences that only matter together.
fn episode() -> impl Strategy<Value = (usize, Vec<What>)> {
    let pro = Plan { enterprise: false, yearly: false };
    let by_hand = |how| What::SubscribeByHand { plan: pro, how };
    let subscribed = by_hand(ByHand::Card);
    let buy = |card| What::Buy { large: false, card };
    let declined = What::Decline { charges: 1 };
    let month = What::Days(31);
    let anyones = prop::sample::select(vec![
        vec![subscribed, declined, month, What::PayOpenInvoice],
        vec![subscribed, What::Decline { charges: 5 }, month, What::Days(16)],
        vec![subscribed, declined, month, What::GiveUpOpenInvoice],
        // Two are open, and one of them is paid.
        vec![
            What::AfterLastRetry(After::PastDue),
            subscribed,
            What::Decline { charges: 5 },
            month,
            month,
            What::PayOpenInvoice,
        ],
        vec![subscribed, declined, What::UpgradeOncePaid, What::PayOpenInvoice],
        vec![subscribed, declined, What::UpgradeOncePaid, What::Days(1)],
        vec![subscribed, What::SwitchInterval, What::RefundPart],
        vec![subscribed, What::PauseCollection(Invoices::Uncollectible), month, What::ResumeCollection],
        vec![by_hand(ByHand::CardThatAsks), What::Days(1)],
    ]);
    let buyers = prop::sample::select(vec![
        vec![buy(Card::RefundsFail), What::RefundAll, What::Days(2)],
        vec![buy(Card::RefundsLate), What::RefundPart, What::RefundAll, What::Days(2)],
        vec![buy(Card::Pays), What::Dispute(Dispute::Answered), What::Days(1)],
        vec![buy(Card::Pays), What::RefundTheDisputed],
        vec![What::BuyByDebit { fails: false }, What::Days(5)],
        vec![What::BuyByDebit { fails: true }, What::Days(5)],
        vec![What::Abandon, What::Days(2)],
        vec![What::Subscribe { plan: pro, card: Card::Asks }, What::Days(15)],
        vec![buy(Card::Pays), What::DeleteCustomer, buy(Card::Pays)],
    ]);
    let unlinked = Just(vec![by_hand(ByHand::Trial), What::Link, What::Days(6), What::Resume]);
    prop_oneof![
        2 => (Just(0), anyones.clone()),
        // Applied as it happens, or all of it when the account is known.
        2 => (Just(UNLINKED), anyones.clone().prop_map(linked)),
        1 => (Just(UNLINKED), anyones),
        5 => (0..UNLINKED, buyers),
        1 => (Just(UNLINKED), unlinked),
    ]
}

fn linked(mut whats: Vec<What>) -> Vec<What> {
    whats.insert(1, What::Link);
    whats
}

fn plan() -> impl Strategy<Value = Plan> {
    (any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(enterprise, yearly)| Plan { enterprise, yearly })
}

fn by_hand() -> impl Strategy<Value = ByHand> {
    prop_oneof![3 => Just(ByHand::Card), 1 => Just(ByHand::CardThatAsks), 2 => Just(ByHand::Trial)]
}

fn card() -> impl Strategy<Value = Card> {
    prop_oneof![
        8 => Just(Card::Pays),
        1 => Just(Card::DeclinesFirst),
        2 => Just(Card::Asks),
        1 => Just(Card::RefundsLate),
        1 => Just(Card::RefundsFail),
        1 => Just(Card::Disputed),
    ]
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let often = || prop::bool::weighted(0.5);
    let rarely = || prop::bool::weighted(0.1);
    (any::<u64>(), often(), rarely(), rarely(), rarely(), often()).prop_map(
        |(seed, old_version, restart, dead_worker, outage, meanwhile)| Conditions {
            seed,
            old_version,
            restart,
            dead_worker,
            outage,
            meanwhile,
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = (0..=UNLINKED, what().prop_map(|what| vec![what]));
    prop_oneof![5 => one, 2 => episode()].prop_flat_map(|(who, whats)| {
        let conditions = prop::collection::vec(conditions(), whats.len());
        conditions.prop_map(move |conditions| {
            let steps = whats.iter().zip(conditions);
            steps.map(|(what, conditions)| Step { what: *what, who, conditions }).collect()
        })
    })
}

/// A life of some steps. It begins with a purchase, so that there are events.
pub fn history() -> impl Strategy<Value = Vec<Step>> {
    let first = (plan(), card(), conditions()).prop_map(|(plan, card, conditions)| Step {
        what: What::Subscribe { plan, card },
        who: 0,
        conditions,
    });
    (first, prop::collection::vec(steps(), 2..8))
        .prop_map(|(first, rest)| std::iter::once(first).chain(rest.into_iter().flatten()).collect())
}
