//! What can happen to a customer, and how it is told.

use proptest::prelude::*;

/// One thing that happens, and how the second node hears of it.
#[derive(Clone, Debug)]
pub struct Step {
    pub what: What,
    /// Which of the two customers.
    pub who: usize,
    pub telling: Telling,
}

/// What happens at Stripe.
#[derive(Clone, Copy, Debug)]
pub enum What {
    Subscribe {
        enterprise: bool,
    },
    Buy {
        large: bool,
    },
    /// By bank debit, which takes days and may fail.
    BuyByDebit {
        fails: bool,
    },
    /// The clock goes on to whatever falls due next: a trial ends, a period begins, a retry is made.
    NextDue,
    /// The clock goes on.
    Days(u8),
    /// The next charges are declined.
    Decline {
        charges: u8,
    },
    /// The open invoice is paid by hand.
    PayOpenInvoice,
    VoidOpenInvoice,
    Upgrade,
    Downgrade,
    CancelAtPeriodEnd,
    TakeCancellationBack,
    CancelNow,
    RefundPart,
    RefundAll,
    Dispute {
        lost: bool,
    },
    Rename,
    /// Rare: it ends everything that runs.
    DeleteCustomer,
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
    /// Stripe's answers to the node fail for a while.
    pub outage: bool,
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        6 => any::<bool>().prop_map(|enterprise| What::Subscribe { enterprise }),
        4 => any::<bool>().prop_map(|large| What::Buy { large }),
        2 => any::<bool>().prop_map(|fails| What::BuyByDebit { fails }),
        8 => Just(What::NextDue),
        4 => (1_u8..20).prop_map(What::Days),
        4 => (1_u8..4).prop_map(|charges| What::Decline { charges }),
        4 => Just(What::PayOpenInvoice),
        1 => Just(What::VoidOpenInvoice),
        3 => Just(What::Upgrade),
        2 => Just(What::Downgrade),
        3 => Just(What::CancelAtPeriodEnd),
        3 => Just(What::TakeCancellationBack),
        2 => Just(What::CancelNow),
        3 => Just(What::RefundPart),
        2 => Just(What::RefundAll),
        2 => any::<bool>().prop_map(|lost| What::Dispute { lost }),
        1 => Just(What::Rename),
        1 => Just(What::DeleteCustomer),
    ]
}

fn telling() -> impl Strategy<Value = Telling> {
    let often = || prop::bool::weighted(0.5);
    let rarely = || prop::bool::weighted(0.1);
    (any::<u64>(), often(), rarely(), rarely(), rarely())
        .prop_map(|(seed, old_shape, restart, death, outage)| Telling { seed, old_shape, restart, death, outage })
}

fn step() -> impl Strategy<Value = Step> {
    (what(), 0_usize..2, telling()).prop_map(|(what, who, telling)| Step { what, who, telling })
}

/// A life of some steps. It begins with a purchase, so that there is something to tell.
pub fn history() -> impl Strategy<Value = Vec<Step>> {
    let first = (any::<bool>(), telling()).prop_map(|(enterprise, telling)| Step {
        what: What::Subscribe { enterprise },
        who: 0,
        telling,
    });
    (first, prop::collection::vec(step(), 3..14)).prop_map(|(first, rest)| std::iter::once(first).chain(rest).collect())
}
