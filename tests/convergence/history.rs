//! What can happen to a customer, and how it is told.

use proptest::prelude::*;

use crate::node::STRANGER;

/// One thing that happens, and how the second node hears of it.
#[derive(Clone, Debug)]
pub struct Step {
    pub what: What,
    /// Which of the people.
    pub who: usize,
    pub telling: Telling,
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
    /// Somebody pays who is no customer at all.
    GuestPays,
    /// The clock goes on to whatever falls due next: a trial ends, a period begins, a retry is made.
    NextDue,
    /// The clock goes on.
    Days(u8),
    /// The next charges are declined.
    Decline {
        charges: u8,
    },
    /// What follows the last retry from now on.
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
    /// A subscription whose trial ended without a card gets one and goes on.
    Resume,
    RefundPart,
    RefundAll,
    Dispute(Dispute),
    /// The bank asks, and all of it is given back.
    RefundTheDisputed,
    Rename,
    /// Rare: it ends everything that runs.
    DeleteCustomer,
    /// Stripe is told whose the customer is that an operator made.
    Introduce,
}

/// A plan at an interval.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub enterprise: bool,
    pub yearly: bool,
}

/// How an operator has a subscription paid.
#[derive(Clone, Copy, Debug)]
pub enum ByHand {
    Card,
    /// The bank asks for the cardholder, and nobody is there.
    CardThatAsks,
    /// First a trial, then it pauses for want of a card.
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
    /// A refund goes through and comes back a day later.
    RefundsFail,
    Disputed,
}

/// What becomes of a subscription after the last retry.
#[derive(Clone, Copy, Debug)]
pub enum After {
    Canceled,
    Unpaid,
    PastDue,
}

/// What becomes of invoices while nothing is collected.
#[derive(Clone, Copy, Debug)]
pub enum Invoices {
    Void,
    Uncollectible,
    Draft,
}

/// How a dispute goes.
#[derive(Clone, Copy, Debug)]
pub enum Dispute {
    /// The bank only asks.
    Inquiry,
    Open,
    /// It is answered with evidence that wins, a minute later.
    Answered,
    Lost,
}

/// How the second node is told of what happened since the last step.
#[derive(Clone, Copy, Debug)]
pub struct Telling {
    /// By which events are shuffled, doubled, delayed and lost.
    pub seed: u64,
    /// In the shape before basil.
    pub old_shape: bool,
    /// The node is started anew before it hears anything.
    pub restart: bool,
    /// A worker claims what is due and dies.
    pub death: bool,
    /// Stripe has no answer for the node for a while.
    pub outage: bool,
    /// The node is still at it when the next thing happens, and hears of that at once.
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
    let customers = vec![each(1, What::Rename), each(1, What::DeleteCustomer), each(3, What::Introduce)];
    let all = [purchases, time, invoices, changes, money_back, customers];
    prop::strategy::Union::new_weighted(all.into_iter().flatten().collect())
}

/// Things that come to something only one after the other.
fn episode() -> impl Strategy<Value = (usize, Vec<What>)> {
    let pro = Plan { enterprise: false, yearly: false };
    let by_hand = |how| What::SubscribeByHand { plan: pro, how };
    let subscribed = by_hand(ByHand::Card);
    let buy = |card| What::Buy { large: false, card };
    let declined = What::Decline { charges: 1 };
    let month = What::Days(31);
    let anybodys = prop::sample::select(vec![
        vec![subscribed, declined, month, What::PayOpenInvoice],
        vec![subscribed, What::Decline { charges: 5 }, month, What::Days(16)],
        vec![subscribed, declined, month, What::GiveUpOpenInvoice],
        // Two are owed, and one of them is paid.
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
    let strangers = Just(vec![by_hand(ByHand::Trial), What::Introduce, What::Days(6), What::Resume]);
    prop_oneof![
        2 => (Just(0), anybodys.clone()),
        // Told of as it happens, or all at once when it is known whose it is.
        2 => (Just(STRANGER), anybodys.clone().prop_map(introduced)),
        1 => (Just(STRANGER), anybodys),
        5 => (0..STRANGER, buyers),
        1 => (Just(STRANGER), strangers),
    ]
}

fn introduced(mut whats: Vec<What>) -> Vec<What> {
    whats.insert(1, What::Introduce);
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

fn telling() -> impl Strategy<Value = Telling> {
    let often = || prop::bool::weighted(0.5);
    let rarely = || prop::bool::weighted(0.1);
    (any::<u64>(), often(), rarely(), rarely(), rarely(), often()).prop_map(
        |(seed, old_shape, restart, death, outage, meanwhile)| Telling {
            seed,
            old_shape,
            restart,
            death,
            outage,
            meanwhile,
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = (0..=STRANGER, what().prop_map(|what| vec![what]));
    prop_oneof![5 => one, 2 => episode()].prop_flat_map(|(who, whats)| {
        let tellings = prop::collection::vec(telling(), whats.len());
        tellings.prop_map(move |tellings| {
            let steps = whats.iter().zip(tellings);
            steps.map(|(what, telling)| Step { what: *what, who, telling }).collect()
        })
    })
}

/// A life of some steps. It begins with a purchase, so that there is something to tell.
pub fn history() -> impl Strategy<Value = Vec<Step>> {
    let first = (plan(), card(), telling()).prop_map(|(plan, card, telling)| Step {
        what: What::Subscribe { plan, card },
        who: 0,
        telling,
    });
    (first, prop::collection::vec(steps(), 2..8))
        .prop_map(|(first, rest)| std::iter::once(first).chain(rest.into_iter().flatten()).collect())
}
