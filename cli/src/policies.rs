//! Audit policies: which events of a tenant the gateway lets through. A change is a record of the control topic, which
//! every gateway follows, and an event of the tenant's trail.

use std::collections::BTreeSet;

use ::schemas::{CONTROL_TOPIC, EVENTS_SUBJECT, avro};
use anyhow::{Context, ensure};
use audit_event::control::{ControlState, PolicyRecord, VALUE_VERSION};
use audit_event::policy::{AuditLevel, Policy, Sample, SampleRate, TypePattern};
use audit_event::{AuditEvent, Change as FieldChange, EventId, SchemaId, Target, TenantId};
use clap::{Args, Subcommand, ValueEnum};
use kafka_io::KafkaConfig;
use kafka_io::config::TopicCheck;
use kafka_io::control::{ControlWriter, read_once};
use serde::Serialize;
use uuid::Uuid;

use crate::actor::Actor;
use crate::connect::{KafkaFlags, RegistryFlags};
use crate::help;
use crate::outgoing::{Outgoing, Sender};
use crate::output::{self, Format, Outcome, Show, name_of};
use crate::own_event::own_event;
use crate::tenants::Level;

pub const EVENT_TYPE: &str = "trail.policy_changed";

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// List the tenants' policies
    #[command(after_help = help::POLICIES_LIST)]
    List(KafkaFlags),
    /// Show a tenant's policy
    #[command(after_help = help::POLICIES_SHOW)]
    Show(ShowFlags),
    /// Change a tenant's policy; what is not named stays as it is
    #[command(after_help = help::POLICIES_SET)]
    Set(Box<SetFlags>),
}

#[derive(Debug, Args)]
pub struct ShowFlags {
    /// Whose policy it is
    tenant: TenantId,
    #[command(flatten)]
    kafka: KafkaFlags,
}

#[derive(Debug, Args)]
pub struct SetFlags {
    /// Whose policy it is
    tenant: TenantId,
    /// Which events the gateway lets through
    #[arg(long)]
    level: Option<Level>,
    /// Event types that are never taken, such as `document.read` or `metrics.*`; replaces those of before
    #[arg(long, value_name = "TYPE", value_delimiter = ',', value_parser = pattern)]
    exclude_types: Vec<TypePattern>,
    /// Actors of whom nothing is taken; replaces those of before
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    exclude_actors: Vec<String>,
    /// Events that have targets of these types only are not taken; replaces those of before
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    exclude_target_types: Vec<String>,
    /// Of events of a type only this share is taken, such as `page.viewed=2.5%`; the first type that matches counts, and
    /// failures are always taken; replaces the samples of before
    #[arg(long, value_name = "TYPE=PERCENT", value_delimiter = ',', value_parser = sample)]
    sample: Vec<Sample>,
    /// Whether producers must sign their events, by the keys of `signing-keys`
    #[arg(long, value_enum)]
    signatures: Option<Signing>,
    /// Empties these lists
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    clear: Vec<List>,
    /// Who says so, if not the user of the operating system; kept in the event beside that one
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    #[command(flatten)]
    kafka: KafkaFlags,
    #[command(flatten)]
    registry: RegistryFlags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Signing {
    /// Events without a good signature are refused
    Required,
    /// Signatures are kept as they come, and not looked at
    Optional,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum List {
    Types,
    Actors,
    TargetTypes,
    Samples,
}

fn pattern(text: &str) -> Result<TypePattern, String> {
    TypePattern::try_from(text.to_owned()).map_err(|error| error.to_string())
}

/// `TYPE=PERCENT`, to four places.
fn sample(text: &str) -> Result<Sample, String> {
    let (event_type, share) = text.split_once('=').ok_or("write TYPE=PERCENT, such as page.viewed=2.5%")?;
    let percent: f64 =
        share.trim_end_matches('%').parse().map_err(|_| format!("{share:?} is no percentage"))?;
    if !(0.0..=100.0).contains(&percent) {
        return Err(format!("{share:?} is not between 0 and 100 %"));
    }
    // within u32: at most a million
    let rate =
        SampleRate::try_from((percent * 10_000.0).round() as u32).map_err(|error| error.to_string())?;
    Ok(Sample { event_type: pattern(event_type)?, rate })
}

/// A policy as it is shown.
#[derive(Debug, Serialize)]
struct PolicyView {
    tenant_id: TenantId,
    #[serde(flatten)]
    policy: Policy,
    /// The event that says so, where it was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<EventId>,
}

#[derive(Debug, Serialize)]
struct Policies {
    policies: Vec<PolicyView>,
}

impl Show for PolicyView {
    fn text(&self) -> String {
        let mut lines = vec![format!("tenant {} has level {}", self.tenant_id, name_of(self.policy.level))];
        let mut list = |name: &str, entries: Vec<String>| {
            if !entries.is_empty() {
                lines.push(format!("{name}: {}", entries.join(", ")));
            }
        };
        list("never taken, by event type", texts(&self.policy.excluded_event_types));
        list("never taken, by actor", self.policy.excluded_actor_ids.iter().cloned().collect());
        list("never taken, by target type", self.policy.excluded_target_types.iter().cloned().collect());
        if self.policy.signatures.required {
            list("signed by", self.policy.signatures.keys.keys().cloned().collect());
        }
        list("taken in part", self.policy.samples.iter().map(shown).collect());
        lines.join("\n")
    }
}

impl Show for Policies {
    fn text(&self) -> String {
        let row = |view: &PolicyView| {
            let Policy { excluded_event_types, excluded_actor_ids, excluded_target_types, samples, .. } =
                &view.policy;
            let excluded =
                excluded_event_types.len() + excluded_actor_ids.len() + excluded_target_types.len();
            let level = name_of(view.policy.level);
            [view.tenant_id.to_string(), level, excluded.to_string(), samples.len().to_string()]
        };
        output::table(["tenant", "level", "exclusions", "samples"], self.policies.iter().map(row))
    }
}

fn texts(patterns: &BTreeSet<TypePattern>) -> Vec<String> {
    patterns.iter().cloned().map(String::from).collect()
}

fn shown(sample: &Sample) -> String {
    let percent = f64::from(u32::from(sample.rate)) / 10_000.0;
    format!("{}={percent}%", String::from(sample.event_type.clone()))
}

pub async fn run(command: PolicyCommand, format: Format) -> anyhow::Result<Outcome> {
    match command {
        PolicyCommand::List(kafka) => {
            let state = read_once(&kafka.config(TopicCheck::Off)?, CONTROL_TOPIC).await?;
            let mut tenants: Vec<_> = state.tenants.keys().cloned().collect();
            tenants.sort();
            format
                .print(&Policies { policies: tenants.iter().map(|tenant| view(&state, tenant)).collect() })?;
        }
        PolicyCommand::Show(ShowFlags { tenant, kafka }) => {
            let state = read_once(&kafka.config(TopicCheck::Off)?, CONTROL_TOPIC).await?;
            known(&state, &tenant)?;
            format.print(&view(&state, &tenant))?;
        }
        PolicyCommand::Set(flags) => return set(&flags, format).await,
    }
    Ok(Outcome::Done)
}

fn view(state: &ControlState, tenant_id: &TenantId) -> PolicyView {
    let policy = state.policy_of(tenant_id).clone();
    PolicyView { tenant_id: tenant_id.clone(), policy, event_id: None }
}

fn known(state: &ControlState, tenant_id: &TenantId) -> anyhow::Result<()> {
    ensure!(
        state.tenants.contains_key(tenant_id),
        "there is no tenant {tenant_id}; `sealtrail tenants list` shows them"
    );
    Ok(())
}

async fn set(flags: &SetFlags, format: Format) -> anyhow::Result<Outcome> {
    let of = Change {
        tenant: &flags.tenant,
        actor: flags.actor.as_deref(),
        kafka: &flags.kafka,
        registry: &flags.registry,
    };
    let changed = change(&of, |policy| {
        *policy = flags.applied_to(policy.clone());
        Ok(())
    })
    .await?;
    let Changed { policy, event_id } = changed;
    format.print(&PolicyView { tenant_id: flags.tenant.clone(), policy, event_id })?;
    Ok(Outcome::done_if(event_id.is_some()))
}

/// Whose policy is changed, by whom, and where that is written.
pub struct Change<'a> {
    pub tenant: &'a TenantId,
    pub actor: Option<&'a str>,
    pub kafka: &'a KafkaFlags,
    pub registry: &'a RegistryFlags,
}

pub struct Changed {
    pub policy: Policy,
    /// The event that says so; absent if the policy was changed and the event was not confirmed.
    pub event_id: Option<EventId>,
}

/// Changes a policy, and leaves an event that says what was changed.
pub async fn change(
    of: &Change<'_>,
    edit: impl FnOnce(&mut Policy) -> anyhow::Result<()>,
) -> anyhow::Result<Changed> {
    let kafka = of.kafka.config(TopicCheck::Off)?;
    let state = read_once(&kafka, CONTROL_TOPIC).await?;
    known(&state, of.tenant)?;
    let before = state.policy_of(of.tenant);
    let mut policy = before.clone();
    edit(&mut policy)?;
    policy.check()?;
    // asked for first: a change that cannot be recorded is not made
    let registered = of.registry.connect()?.find(EVENTS_SUBJECT, avro::SCHEMA_TEXT).await?;
    let schema_id = registered.context(
        "the registry does not have this version's schema, by which the change is recorded; start a gateway of this version first",
    )?;
    let event = changed(of, before, &policy);
    let record = PolicyRecord { v: VALUE_VERSION, tenant_id: of.tenant.clone(), policy: policy.clone() };
    ControlWriter::new(&kafka, CONTROL_TOPIC)?.put(&format!("policy/{}", of.tenant), &record).await?;
    let recorded = record_event(&kafka, &event, SchemaId(schema_id)).await;
    if let Err(error) = &recorded {
        eprintln!(
            "the policy was changed, and that it was is not recorded; run the command again: {error:#}"
        );
    }
    Ok(Changed { policy, event_id: recorded.is_ok().then_some(event.event_id) })
}

async fn record_event(kafka: &KafkaConfig, event: &AuditEvent, schema_id: SchemaId) -> anyhow::Result<()> {
    let sender = Sender::new(kafka, ::schemas::EVENTS_TOPIC)?;
    let answers = sender.send(&[Outgoing::event(event, schema_id, Uuid::now_v7())?]).await;
    Ok(answers.into_iter().collect::<Result<(), _>>()?)
}

impl SetFlags {
    fn applied_to(&self, mut policy: Policy) -> Policy {
        let clears = |list| self.clear.contains(&list);
        if let Some(level) = self.level {
            policy.level = AuditLevel::from(level);
        }
        if let Some(signing) = self.signatures {
            policy.signatures.required = signing == Signing::Required;
        }
        if clears(List::Types) || !self.exclude_types.is_empty() {
            policy.excluded_event_types = self.exclude_types.iter().cloned().collect();
        }
        if clears(List::Actors) || !self.exclude_actors.is_empty() {
            policy.excluded_actor_ids = self.exclude_actors.iter().cloned().collect();
        }
        if clears(List::TargetTypes) || !self.exclude_target_types.is_empty() {
            policy.excluded_target_types = self.exclude_target_types.iter().cloned().collect();
        }
        if clears(List::Samples) || !self.sample.is_empty() {
            policy.samples.clone_from(&self.sample);
        }
        policy
    }
}

/// Says what was and what is, part by part.
fn changed(of: &Change<'_>, before: &Policy, after: &Policy) -> AuditEvent {
    let actor = Actor::of_this_process(of.actor);
    let mut event = own_event(EVENT_TYPE, of.tenant, &actor);
    event.targets = vec![Target { id: of.tenant.to_string(), kind: "policy".to_owned(), name: None }];
    let (before, after) = (parts(before), parts(after));
    let mut paths: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    paths.retain(|path| before.get(*path) != after.get(*path));
    let text =
        |of: &serde_json::Map<String, serde_json::Value>, path: &str| of.get(path).map(ToString::to_string);
    let change = |path: &&String| FieldChange {
        path: format!("/{path}"),
        before: text(&before, path),
        after: text(&after, path),
    };
    event.changes = paths.iter().map(change).collect();
    event
}

fn parts(policy: &Policy) -> serde_json::Map<String, serde_json::Value> {
    match serde_json::to_value(policy) {
        Ok(serde_json::Value::Object(parts)) => parts,
        _ => serde_json::Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: SetFlags,
    }

    fn flags(arguments: &[&str]) -> SetFlags {
        Line::try_parse_from(["set", "demo"].iter().chain(arguments)).expect("flags").flags
    }

    #[test]
    fn what_is_not_named_stays() {
        let first = flags(&["--exclude-types", "a.b,c.*", "--sample", "d.e=2.5%", "--exclude-actors", "x"]);
        let policy = first.applied_to(Policy::of_level(AuditLevel::All));
        assert_eq!(texts(&policy.excluded_event_types), ["a.b", "c.*"]);
        assert_eq!(policy.samples.iter().map(shown).collect::<Vec<_>>(), ["d.e=2.5%"]);
        let second = flags(&["--level", "off", "--clear", "types,samples"]).applied_to(policy.clone());
        assert_eq!(second.excluded_actor_ids, policy.excluded_actor_ids);
        assert!(second.excluded_event_types.is_empty() && second.samples.is_empty());
        assert_eq!(second.level, AuditLevel::Off);
    }

    #[test]
    fn the_event_names_each_part_that_changed() {
        let flags = flags(&["--level", "off", "--exclude-actors", "x"]);
        let before = Policy::of_level(AuditLevel::All);
        let of =
            Change { tenant: &flags.tenant, actor: None, kafka: &flags.kafka, registry: &flags.registry };
        let event = changed(&of, &before, &flags.applied_to(before.clone()));
        let change = |path: &str, before: Option<&str>, after: &str| FieldChange {
            path: path.to_owned(),
            before: before.map(ToOwned::to_owned),
            after: Some(after.to_owned()),
        };
        let expected =
            [change("/excluded_actor_ids", None, "[\"x\"]"), change("/level", Some("\"all\""), "\"off\"")];
        assert_eq!(event.changes, expected);
        assert_eq!(event.event_type, EVENT_TYPE);
    }

    #[test]
    fn a_share_is_a_percentage() {
        for bad in ["a.b", "a.b=x", "a.b=101%", "a.b=-1", "=5%", "a.b=NaN"] {
            assert!(sample(bad).is_err(), "{bad}");
        }
        assert_eq!(shown(&sample("a.*=0.0001").expect("a sample")), "a.*=0.0001%");
    }
}
