//! `sandboxctl ext`.

use std::process::ExitCode;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Value, json};

use super::Failure;
use super::args::registry::{ActArgs, ExtArgs, ExtCommand};
use super::output::{Table, json, text_out};
use crate::record::escape::visible;
use crate::registry::{
    CheckRow, Editor, Extension, FindingRow, PermissionRow, RegisteredBundle, Registry,
    RegistryError, ReviewRow, moment,
};
use crate::state::Dirs;
use crate::state::disabled::{self, Disabled};

/// An extension, and the reaction rule that has switched it off.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(flatten)]
    extension: Extension,
    disabled_by_rule: Option<Disabled>,
}

impl Line {
    fn of(extension: Extension, dirs: &Dirs) -> Result<Self, RegistryError> {
        let disabled_by_rule = disabled::find(&dirs.state, &extension.id)?;
        Ok(Self { extension, disabled_by_rule })
    }
}

/// All that is known about an extension.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Everything {
    #[serde(flatten)]
    line: Line,
    bundles: Vec<RegisteredBundle>,
    permissions: Vec<PermissionRow>,
    reviews: Vec<ReviewRow>,
    findings: Vec<FindingRow>,
    checks: Vec<CheckRow>,
}

pub(super) fn main(args: &ExtArgs, dirs: &Dirs) -> Result<ExitCode, Failure> {
    match &args.command {
        ExtCommand::List { json: as_json } => {
            let all = read(dirs)?.extensions().map_err(|error| failure(&error))?;
            let lines = all.into_iter().map(|extension| Line::of(extension, dirs));
            let all: Vec<Line> =
                lines.collect::<Result<_, _>>().map_err(|error| failure(&error))?;
            if *as_json { json(&all) } else { text_out(&list(&all)) }
        }
        ExtCommand::Show { id, json: as_json } => {
            let all = everything(&read(dirs)?, id, dirs).map_err(|error| failure(&error))?;
            if *as_json { json(&all) } else { text_out(&show(&all)) }
        }
        ExtCommand::Register { bundle, expires, act } => {
            let done = edit(dirs, act)?
                .register(bundle, dirs, *expires)
                .map_err(|error| failure(&error))?;
            if act.json {
                return json(&done);
            }
            let bundle = &done.bundle;
            let already = if done.already { " (it was already)" } else { "" };
            text_out(&format!(
                "registered {} {}{already}: {}, digest {}\n",
                bundle.extension_id,
                bundle.version,
                done.state.name(),
                bundle.digest
            ))
        }
        ExtCommand::Grant { id, permissions, act } => {
            edit(dirs, act)?.grant(id, permissions).map_err(|error| failure(&error))?;
            done(act, id, "granted", &json!({ "permissions": permissions }))
        }
        ExtCommand::Deny { id, permissions, reason, act } => {
            edit(dirs, act)?.deny(id, permissions, reason).map_err(|error| failure(&error))?;
            done(act, id, "denied", &json!({ "permissions": permissions }))
        }
        ExtCommand::Enable { id, act } => {
            edit(dirs, act)?.enable(id).map_err(|error| failure(&error))?;
            done(act, id, "enabled", &json!({}))
        }
        ExtCommand::Disable { id, reason, act } => {
            edit(dirs, act)?.disable(id, reason).map_err(|error| failure(&error))?;
            done(act, id, "disabled", &json!({}))
        }
        ExtCommand::Expire { id, at, never, act } => {
            let at = if *never { None } else { Some(at.unwrap_or_else(SystemTime::now)) };
            edit(dirs, act)?.expire(id, at).map_err(|error| failure(&error))?;
            done(act, id, "expiry set of", &json!({}))
        }
        ExtCommand::Remove { id, force, act } => {
            edit(dirs, act)?.remove(id, *force).map_err(|error| failure(&error))?;
            done(act, id, "removed", &json!({}))
        }
    }
}

pub(super) fn failure(error: &RegistryError) -> Failure {
    Failure::new(error).hint(error.hint())
}

pub(super) fn read(dirs: &Dirs) -> Result<Registry, Failure> {
    Registry::open(&dirs.state).map_err(|error| failure(&error))
}

pub(super) fn edit(dirs: &Dirs, act: &ActArgs) -> Result<Editor, Failure> {
    let config = super::configured(dirs)?;
    let editor = Editor::open(&dirs.state, &actor(act)).map_err(|error| failure(&error))?;
    Ok(editor.with_log(config.audit.settings()))
}

/// Who acts: as said, the user behind sudo(8), or the user id.
pub(super) fn actor(act: &ActArgs) -> String {
    act.actor.clone().unwrap_or_else(super::acts::actor)
}

fn done(act: &ActArgs, id: &str, what: &str, more: &Value) -> Result<ExitCode, Failure> {
    if !act.json {
        return text_out(&format!("{what} {id}\n"));
    }
    let mut answer = json!({ "extensionId": id, "done": what, "actor": actor(act) });
    if let (Some(answer), Some(more)) = (answer.as_object_mut(), more.as_object()) {
        answer.extend(more.clone());
    }
    json(&answer)
}

fn everything(registry: &Registry, id: &str, dirs: &Dirs) -> Result<Everything, RegistryError> {
    let extension = registry.extension(id)?;
    Ok(Everything {
        bundles: registry.bundles(id)?,
        permissions: registry.permissions(id)?,
        reviews: registry.reviews(Some(id))?,
        findings: registry.findings(Some(id))?,
        checks: registry.checks(&extension.digest)?,
        line: Line::of(extension, dirs)?,
    })
}

fn list(all: &[Line]) -> String {
    if all.is_empty() {
        return "no extension is registered\n".to_owned();
    }
    let mut table = Table::default();
    table.row(["ID", "VERSION", "TIER", "STATE", "EXPIRES", "NAME"]);
    for Line { extension: one, disabled_by_rule } in all {
        let state =
            if disabled_by_rule.is_some() { "disabled by a rule" } else { one.state.name() };
        table.row([
            one.id.clone(),
            one.version.to_string(),
            one.tier.name().to_owned(),
            state.to_owned(),
            one.expires_at.map_or_else(|| "never".to_owned(), moment::text),
            visible(&one.name).into_owned(),
        ]);
    }
    table.render(0)
}

fn show(all: &Everything) -> String {
    let Line { extension: one, disabled_by_rule } = &all.line;
    let mut head = Table::default();
    head.row(["id", &one.id]);
    head.row(["name", &visible(&one.name)]);
    head.row(["publisher", &one.publisher]);
    head.row(["tier", one.tier.name()]);
    let state = format!(
        "{}, since {} by {}: {}",
        one.state.name(),
        moment::text(one.state_at),
        visible(&one.state_by),
        visible(&one.state_reason)
    );
    head.row(["state", &state]);
    if let Some(Disabled { at, run_id, reason, .. }) = disabled_by_rule {
        let (at, run, reason) = (visible(at), visible(run_id), visible(reason));
        head.row(["disabled by a rule", &format!("since {at} in run {run}: {reason}")]);
    }
    head.row([
        "registered",
        &format!("{} by {}", moment::text(one.registered_at), visible(&one.registered_by)),
    ]);
    head.row(["expires", &one.expires_at.map_or_else(|| "never".to_owned(), moment::text)]);
    let approved =
        one.highest_approved.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
    head.row(["highest approved", &approved]);
    let mut text = head.render(0);
    let mut bundles = Table::default();
    for bundle in &all.bundles {
        let signer = bundle.signer.map_or("signed, not verified", |signer| signer.name());
        bundles.row([
            bundle.version.to_string(),
            bundle.digest.to_string(),
            format!("{} files", bundle.files),
            signer.to_owned(),
            if bundle.sbom { "bill of materials" } else { "no bill of materials" }.to_owned(),
        ]);
    }
    let mut permissions = Table::default();
    for row in &all.permissions {
        permissions.row([
            row.permission.name().to_owned(),
            if row.granted { "granted" } else { "denied" }.to_owned(),
            format!("{} by {}", moment::text(row.at), visible(&row.actor)),
            visible(&row.reason).into_owned(),
        ]);
    }
    let sections = [
        ("bundles", bundles.render(2)),
        ("permissions", permissions.render(2)),
        ("reviews", super::review::table(&all.reviews).render(2)),
        ("vulnerabilities", super::vuln::table(&all.findings).render(2)),
        ("checks", super::vuln::checks(&all.checks).render(2)),
    ];
    for (name, section) in sections.iter().filter(|(_, section)| !section.is_empty()) {
        text.extend(["\n", name, "\n", section]);
    }
    text
}
