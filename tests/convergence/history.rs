//! The actions of a customer history, and the conditions under which its events are delivered.

use proptest::prelude::*;

use crate::node::UNLINKED;

/// An action, and the conditions under which the second node receives its events.
#[derive(Clone, Debug)]
pub struct Step {
    pub action: Action,
    /// The index of the person.
    pub who: usize,
    pub conditions: Conditions,
}

/// An action in Stripe.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    Subscribe {
        plan: Plan,
        card: Card,
    },
    /// An operator makes a subscription in Stripe, regardless of existing ones.
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
    /// A purchase is started and never paid.
    Abandon,
    /// A guest pays, without a customer.
    GuestPays,
    /// The clock advances to the next due event: a trial ends, a period begins, a payment is retried.
    NextDue,
    /// The clock advances.
    Days(u8),
    /// The next charges are declined.
    Decline {
        charges: u8,
    },
    /// Sets the status after the last retry, from now on.
    AfterLastRetry(After),
    /// The oldest open invoice is paid by hand.
    PayOpenInvoice,
    VoidOpenInvoice,
    WriteOffOpenInvoice,
    Upgrade,
    /// An upgrade that waits for its payment.
    UpgradeOncePaid,
    Downgrade,
    /// From months to years, or back.
    SwitchInterval,
    CancelAtPeriodEnd,
    UndoCancellation,
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
    /// A credit note of the newest invoice.
    Credit(Credit),
    Rename,
    /// Rare, because it ends every subscription.
    DeleteCustomer,
    /// The customer that an operator created is linked to its account.
    Link,
}

/// A plan at an interval.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub enterprise: bool,
    pub yearly: bool,
}

/// The payment of a subscription that an operator creates.
#[derive(Clone, Copy, Debug)]
pub enum ByHand {
    Card,
    /// The bank asks for 3-D Secure, and the cardholder is not present.
    CardThatAsks,
    /// First a trial, then it pauses because there is no card.
    Trial,
}

/// The behavior of a card, as of Stripe's test cards.
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

/// The treatment of invoices while collection is paused.
#[derive(Clone, Copy, Debug)]
pub enum Invoices {
    Void,
    Uncollectible,
    Draft,
}

/// The course of a dispute.
#[derive(Clone, Copy, Debug)]
pub enum Dispute {
    /// The bank only inquires.
    Inquiry,
    Open,
    /// It is answered with winning evidence, a minute later.
    Answered,
    Lost,
}

/// A credit note: of an open invoice it reduces what is due.
#[derive(Clone, Copy, Debug)]
pub enum Credit {
    /// Of a paid invoice, to the customer's balance.
    Part,
    All,
    /// Of a paid invoice, by a refund.
    Refund,
    /// It gets a memo, and is voided if the invoice is open.
    Void,
}

/// The conditions under which the second node receives the events since the last step.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// The seed of the random numbers by which events are shuffled, duplicated, delayed and lost.
    pub seed: u64,
    /// Events come in the API version before basil.
    pub old_version: bool,
    /// The node restarts before it receives anything.
    pub restart: bool,
    /// A worker claims what is due, and crashes.
    pub dead_worker: bool,
    /// Stripe fails for a while.
    pub outage: bool,
    /// The node still applies events during the next action, and receives the events about it.
    pub meanwhile: bool,
}

fn action() -> impl Strategy<Value = Action> {
    let each = |weight, action: Action| (weight, Just(action).boxed());
    let purchases = vec![
        (6, (plan(), card()).prop_map(|(plan, card)| Action::Subscribe { plan, card }).boxed()),
        (4, (plan(), by_hand()).prop_map(|(plan, how)| Action::SubscribeByHand { plan, how }).boxed()),
        (5, (any::<bool>(), card()).prop_map(|(large, card)| Action::Buy { large, card }).boxed()),
        (2, any::<bool>().prop_map(|fails| Action::BuyByDebit { fails }).boxed()),
        each(1, Action::Abandon),
        each(1, Action::GuestPays),
    ];
    let time = vec![
        each(12, Action::NextDue),
        (4, (1_u8..20).prop_map(Action::Days).boxed()),
        (4, (1_u8..6).prop_map(|charges| Action::Decline { charges }).boxed()),
        (
            2,
            prop::sample::select(vec![After::Canceled, After::Unpaid, After::PastDue])
                .prop_map(Action::AfterLastRetry)
                .boxed(),
        ),
    ];
    let invoices =
        vec![each(4, Action::PayOpenInvoice), each(1, Action::VoidOpenInvoice), each(1, Action::WriteOffOpenInvoice)];
    let changes = vec![
        each(3, Action::Upgrade),
        each(2, Action::UpgradeOncePaid),
        each(2, Action::Downgrade),
        each(2, Action::SwitchInterval),
        each(3, Action::CancelAtPeriodEnd),
        each(3, Action::UndoCancellation),
        each(1, Action::CancelNow),
        (
            2,
            prop::sample::select(vec![Invoices::Void, Invoices::Uncollectible, Invoices::Draft])
                .prop_map(Action::PauseCollection)
                .boxed(),
        ),
        each(2, Action::ResumeCollection),
        each(3, Action::Resume),
    ];
    let disputes = vec![Dispute::Inquiry, Dispute::Open, Dispute::Answered, Dispute::Lost];
    let credits = vec![Credit::Part, Credit::All, Credit::Refund, Credit::Void];
    let money_back = vec![
        each(3, Action::RefundPart),
        each(2, Action::RefundAll),
        (3, prop::sample::select(disputes).prop_map(Action::Dispute).boxed()),
        each(1, Action::RefundTheDisputed),
        (3, prop::sample::select(credits).prop_map(Action::Credit).boxed()),
    ];
    let customers = vec![each(1, Action::Rename), each(1, Action::DeleteCustomer), each(3, Action::Link)];
    let all = [purchases, time, invoices, changes, money_back, customers];
    prop::strategy::Union::new_weighted(all.into_iter().flatten().collect())
}

/// Sequences of actions that are only interesting together.
fn episode() -> impl Strategy<Value = (usize, Vec<Action>)> {
    let pro = Plan { enterprise: false, yearly: false };
    let by_hand = |how| Action::SubscribeByHand { plan: pro, how };
    let subscribed = by_hand(ByHand::Card);
    let buy = |card| Action::Buy { large: false, card };
    let declined = Action::Decline { charges: 1 };
    let month = Action::Days(31);
    let anyones = prop::sample::select(vec![
        vec![subscribed, declined, month, Action::PayOpenInvoice],
        vec![subscribed, Action::Decline { charges: 5 }, month, Action::Days(16)],
        vec![subscribed, declined, month, Action::WriteOffOpenInvoice],
        // Two are open, and one of them is paid.
        vec![
            Action::AfterLastRetry(After::PastDue),
            subscribed,
            Action::Decline { charges: 5 },
            month,
            month,
            Action::PayOpenInvoice,
        ],
        vec![subscribed, declined, Action::UpgradeOncePaid, Action::PayOpenInvoice],
        vec![subscribed, declined, Action::UpgradeOncePaid, Action::Days(1)],
        vec![subscribed, Action::SwitchInterval, Action::RefundPart],
        vec![subscribed, Action::PauseCollection(Invoices::Uncollectible), month, Action::ResumeCollection],
        vec![by_hand(ByHand::CardThatAsks), Action::Days(1)],
        // The payment of the period is taken back, and a newer invoice is paid.
        vec![subscribed, Action::RefundAll, Action::Upgrade],
        vec![subscribed, Action::RefundAll, month],
        vec![subscribed, Action::Dispute(Dispute::Lost), month],
        vec![subscribed, declined, month, Action::Credit(Credit::Void), Action::PayOpenInvoice],
        vec![subscribed, declined, month, Action::Credit(Credit::Part), Action::Credit(Credit::All)],
        vec![subscribed, Action::Credit(Credit::Refund), Action::Credit(Credit::Part), month],
    ]);
    let buyers = prop::sample::select(vec![
        vec![buy(Card::RefundsFail), Action::RefundAll, Action::Days(2)],
        vec![buy(Card::RefundsLate), Action::RefundPart, Action::RefundAll, Action::Days(2)],
        vec![buy(Card::Pays), Action::Dispute(Dispute::Answered), Action::Days(1)],
        vec![buy(Card::Pays), Action::RefundTheDisputed],
        vec![Action::BuyByDebit { fails: false }, Action::Days(5)],
        vec![Action::BuyByDebit { fails: true }, Action::Days(5)],
        vec![Action::Abandon, Action::Days(2)],
        vec![Action::Subscribe { plan: pro, card: Card::Asks }, Action::Days(15)],
        vec![buy(Card::Pays), Action::DeleteCustomer, buy(Card::Pays)],
    ]);
    let unlinked = Just(vec![by_hand(ByHand::Trial), Action::Link, Action::Days(6), Action::Resume]);
    prop_oneof![
        2 => (Just(0), anyones.clone()),
        // Applied immediately, or only once the account is known.
        2 => (Just(UNLINKED), anyones.clone().prop_map(linked)),
        1 => (Just(UNLINKED), anyones),
        5 => (0..UNLINKED, buyers),
        1 => (Just(UNLINKED), unlinked),
    ]
}

fn linked(mut actions: Vec<Action>) -> Vec<Action> {
    actions.insert(1, Action::Link);
    actions
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
    let one = (0..=UNLINKED, action().prop_map(|action| vec![action]));
    prop_oneof![5 => one, 2 => episode()].prop_flat_map(|(who, actions)| {
        let conditions = prop::collection::vec(conditions(), actions.len());
        conditions.prop_map(move |conditions| {
            let steps = actions.iter().zip(conditions);
            steps.map(|(action, conditions)| Step { action: *action, who, conditions }).collect()
        })
    })
}

/// A history of several steps. It begins with a purchase, so that there are events.
pub fn history() -> impl Strategy<Value = Vec<Step>> {
    let first = (plan(), card(), conditions()).prop_map(|(plan, card, conditions)| Step {
        action: Action::Subscribe { plan, card },
        who: 0,
        conditions,
    });
    (first, prop::collection::vec(steps(), 2..8))
        .prop_map(|(first, rest)| std::iter::once(first).chain(rest.into_iter().flatten()).collect())
}
