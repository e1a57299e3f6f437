//! Whether Landlock's denials are recorded on this host, and if not, why.

/// What the operator wants with the host's audit switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditMode {
    /// On while runs live, unless an audit daemon runs: then join its stream and change nothing.
    #[default]
    Auto,
    /// On while runs live.
    On,
    /// Change nothing, listen to nothing.
    Off,
}

/// How closely a denial by Landlock is attributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attribution {
    /// To the run: the kernel names the domain, at no cost for calls that are allowed.
    #[default]
    Run,
    /// To the process: each task of a sandbox has an audit context, which costs every system call of it.
    Process,
}

/// Whether Landlock's denials are recorded, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Each denial is recorded or counted as lost.
    Recorded,
    /// The operator turned it off.
    TurnedOff,
    /// The kernel's Landlock does not report denials.
    KernelTooOld {
        /// Its ABI; 0 without Landlock.
        abi: u32,
    },
    /// The kernel was built without audit.
    NoAudit,
    /// This process lacks the capabilities, or is in a user or pid namespace of its own (a container).
    NotPermitted,
    /// Records go to the initial network namespace only, and this is another one.
    OtherNetworkNamespace,
    /// Audit is off and an audit daemon runs, whose business that is.
    AuditdKeepsItOff,
    /// Somebody turned audit off while the run went on.
    TurnedOffMeanwhile,
}

impl Coverage {
    /// For people; what to do about it is in [`Self::hint`].
    #[must_use]
    pub fn reason(self) -> String {
        match self {
            Self::Recorded => "recorded".to_owned(),
            Self::TurnedOff => "turned off by configuration".to_owned(),
            Self::KernelTooOld { abi: 0 } => "the kernel has no Landlock".to_owned(),
            Self::KernelTooOld { abi } => {
                format!("the kernel's Landlock (ABI {abi}) does not report denials")
            }
            Self::NoAudit => "the kernel was built without audit".to_owned(),
            Self::NotPermitted => "reading the kernel's audit stream is not permitted".to_owned(),
            Self::OtherNetworkNamespace => {
                "audit records reach only the initial network namespace".to_owned()
            }
            Self::AuditdKeepsItOff => "an audit daemon runs and keeps audit off".to_owned(),
            Self::TurnedOffMeanwhile => "audit was turned off during the run".to_owned(),
        }
    }

    /// What the operator can do.
    #[must_use]
    pub const fn hint(self) -> Option<&'static str> {
        match self {
            Self::Recorded => None,
            Self::TurnedOff => Some("set the audit mode to auto in the configuration"),
            Self::KernelTooOld { .. } => Some("Linux 6.15 or newer reports Landlock denials"),
            Self::NoAudit => Some("use a kernel with CONFIG_AUDIT"),
            Self::NotPermitted => {
                Some("run as root of the host, with CAP_AUDIT_CONTROL and CAP_AUDIT_READ")
            }
            Self::OtherNetworkNamespace => Some("start it in the host's network namespace"),
            Self::AuditdKeepsItOff | Self::TurnedOffMeanwhile => {
                Some("turn audit on with auditctl -e 1, or set the audit mode to on")
            }
        }
    }
}
