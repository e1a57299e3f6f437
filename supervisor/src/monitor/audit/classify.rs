//! What a denial is: its code, and what it was aimed at.

use policies::violation::Code;

use crate::monitor::audit_record::Target;
use crate::record::object::ObjectRef;

/// Code and object of a denial with these missing rights. A path beneath a tripwire touches it.
pub(super) fn classify<'a>(
    blockers: &'a str,
    target: &'a Target,
    tripwires: &[String],
) -> (Code, ObjectRef<'a>) {
    match target {
        // The kernel calls the name of an abstract socket a path, too.
        Target::Socket(name) => (Code::ScopeDenied, ObjectRef::Scope { access: blockers, name }),
        Target::Path(path) => {
            let hit = tripwires.iter().any(|tripwire| {
                path.strip_prefix(tripwire.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
            let code = if hit { Code::TripwireTouched } else { Code::PathDenied };
            (code, ObjectRef::Path { path, access: blockers })
        }
        Target::Port(port) => (Code::PortDenied, ObjectRef::Port { port: *port, access: blockers }),
        Target::Other if blockers.starts_with("scope.") => {
            (Code::ScopeDenied, ObjectRef::Scope { access: blockers, name: "" })
        }
        Target::Other if blockers.starts_with("net.") => {
            (Code::PortDenied, ObjectRef::Port { port: 0, access: blockers })
        }
        Target::Other => (Code::PathDenied, ObjectRef::Path { path: "", access: blockers }),
    }
}
