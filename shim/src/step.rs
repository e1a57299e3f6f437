//! The steps between `clone3` and the first instruction of the extension, in the order in which they happen.
//!
//! ARCHITECTURE.md prints this list, and a test compares the two.

macro_rules! steps {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $side:ident;)+) => {
        /// One step of the launch inside the new namespaces.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Step { $($(#[doc = $doc])+ $name,)+ }

        impl Step {
            /// Every step, in order.
            pub const ORDER: &'static [Self] = &[$(Self::$name,)+];

            /// The name in errors and in ARCHITECTURE.md.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// Which process takes it.
            #[must_use]
            pub const fn side(self) -> Side {
                match self { $(Self::$name => Side::$side,)+ }
            }
        }
    };
}

/// Which process takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// PID 1, outside the extension's user namespace.
    Init,
    /// PID 2, which becomes the extension.
    Workload,
}

steps! {
    /// Die with the supervisor: `PR_SET_PDEATHSIG`, and end-of-file on the control socket.
    Lifeline = "lifeline", Init;
    /// Receive the compiled plan.
    Plan = "plan", Init;
    /// Enter the control groups, then hide them behind a cgroup namespace.
    Cgroups = "cgroups", Init;
    /// Host name, no supplementary groups.
    Identity = "identity", Init;
    /// Private mount propagation and a tmpfs to become the root.
    Root = "root", Init;
    /// Build the file tree.
    Tree = "tree", Init;
    /// `pivot_root`, and the host's tree is gone.
    Pivot = "pivot", Init;
    /// Settings of the new pid namespace.
    Sysctls = "sysctls", Init;
    /// Clone the workload into its own user namespace, which therefore owns none of the others.
    Clone = "clone", Init;
    /// Map the one user id of that namespace.
    IdMap = "id-map", Init;
    /// `/proc` and the root become read-only.
    Seal = "seal", Init;
    /// PID 1 gives up root and all capabilities but `CAP_KILL`.
    Demote = "demote", Init;
    /// Wait for the supervisor to say that the run is recorded, then let the workload go on.
    Release = "release", Init;
    /// Own session, default signals.
    Session = "session", Workload;
    /// Add the path rules to the Landlock ruleset.
    LandlockRules = "landlock-rules", Workload;
    /// Wait for the user namespace to be mapped.
    Released = "released", Workload;
    /// Resource limits, counted inside the own user namespace.
    Rlimits = "rlimits", Workload;
    /// User and group id.
    Ids = "ids", Workload;
    /// Drop every capability from every set.
    Capabilities = "capabilities", Workload;
    /// `no_new_privs`.
    NoNewPrivs = "no-new-privs", Workload;
    /// Landlock: enforce, then prove it by one refused open.
    Landlock = "landlock", Workload;
    /// Working directory.
    Workdir = "workdir", Workload;
    /// Close every inherited descriptor but 0, 1, 2.
    Descriptors = "descriptors", Workload;
    /// The system call filter, last.
    Seccomp = "seccomp", Workload;
    /// Hand the filter's listener to the supervisor.
    Handover = "handover", Workload;
    /// Execute the entry command.
    Exec = "exec", Workload;
}

impl Step {
    /// The step with this number, as messages carry it.
    #[must_use]
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ORDER.get(usize::from(number)).copied()
    }
}
