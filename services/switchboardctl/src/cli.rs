//! What can be typed: the options every verb has, and the nouns.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::completions::CompletionsArgs;
use crate::context::named::ContextVerb;
use crate::demo::DemoVerb;
use crate::keys::KeysVerb;
use crate::output::condition::Condition;
use crate::token::TokenArgs;
use crate::verbs::{
    account::AccountVerb, activity::ActivityVerb, agent::AgentVerb, assignment::AssignmentVerb,
    audit::AuditVerb, bot::BotVerb, bundle::BundleArgs, calendar::CalendarVerb, card::CardVerb,
    channel::ChannelVerb, chat::ChatVerb, company::CompanyVerb, connection::ConnectionVerb,
    contact::ContactVerb, deadletter::DeadLetterVerb, decision::DecisionVerb,
    distribution::DistributionVerb, doctor::DoctorArgs, events::EventsVerb, explain::ExplainArgs,
    field::FieldVerb, filter::FilterVerb, find::FindArgs, group::GroupVerb, internal::InternalVerb,
    notification::NotificationVerb, order::OrderVerb, pause::DrainArgs, pause::PauseVerb,
    pause::ResumeVerb, pipeline::PipelineVerb, rehearse::RehearseArgs, reply::ReplyVerb,
    role::RoleVerb, rule::RuleVerb, source::SourceVerb, status::StatusArgs, sync::SyncVerb,
};

/// The command line of Switchboard.
///
/// Where the services are and who you are comes from options, from variables of the environment, or from a context file
/// (--context-file), in this order; the help of each option names its variable.
#[derive(Parser)]
#[command(name = "switchboardctl", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Options of every verb.
    #[command(flatten)]
    pub globals: Globals,
    /// The noun.
    #[command(subcommand)]
    pub noun: Noun,
}

/// Options of every verb.
#[derive(Args, Clone, Debug)]
pub(crate) struct Globals {
    /// A context by its name, as `context list` tells; the current one unless given
    #[arg(
        long,
        global = true,
        env = "SWITCHBOARD_CTL_CONTEXT_NAME",
        value_name = "NAME",
        help_heading = "Connection"
    )]
    pub context: Option<String>,
    /// TOML file with addresses, account and key, instead of a named context
    #[arg(
        long,
        global = true,
        env = "SWITCHBOARD_CTL_CONTEXT",
        value_name = "FILE",
        help_heading = "Connection"
    )]
    pub context_file: Option<PathBuf>,
    /// The account to work in
    #[arg(
        long,
        global = true,
        env = "SWITCHBOARD_CTL_ACCOUNT",
        value_name = "SLUG",
        help_heading = "Connection"
    )]
    pub account: Option<String>,
    /// Act as this agent (name or id); needs a signing key
    #[arg(
        long = "as",
        global = true,
        env = "SWITCHBOARD_CTL_AS",
        value_name = "AGENT",
        help_heading = "Connection"
    )]
    pub acting: Option<String>,
    /// A token to send with every call
    #[arg(
        long,
        global = true,
        env = "SWITCHBOARD_CTL_TOKEN",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "JWT",
        help_heading = "Connection"
    )]
    pub token: Option<String>,
    /// A file with that token
    #[arg(
        long,
        global = true,
        env = "SWITCHBOARD_CTL_TOKEN_FILE",
        hide_short_help = true,
        value_name = "FILE",
        conflicts_with = "token",
        help_heading = "Connection"
    )]
    pub token_file: Option<PathBuf>,
    /// The signing key (PEM) that tokens are made with
    #[arg(
        long,
        global = true,
        env = "SWITCHBOARD_CTL_KEY",
        hide_short_help = true,
        value_name = "FILE",
        help_heading = "Connection"
    )]
    pub key: Option<PathBuf>,
    /// Certificates (PEM) of those who sign the services' own, where their addresses begin with https://
    #[arg(
        long,
        global = true,
        env = "SWITCHBOARD_CTL_CA_FILE",
        hide_short_help = true,
        value_name = "FILE",
        help_heading = "Connection"
    )]
    pub ca_file: Option<PathBuf>,
    /// Address of the service assignment
    #[arg(
        long,
        global = true,
        env = "SWITCHBOARD_CTL_ASSIGNMENT",
        hide_short_help = true,
        value_name = "URL",
        help_heading = "Connection"
    )]
    pub assignment: Option<String>,
    /// Address of the service conversation
    #[arg(
        long,
        global = true,
        env = "SWITCHBOARD_CTL_CONVERSATION",
        hide_short_help = true,
        value_name = "URL",
        help_heading = "Connection"
    )]
    pub conversation: Option<String>,
    /// Address of the service crm-cards
    #[arg(
        long,
        global = true,
        env = "SWITCHBOARD_CTL_CRM_CARDS",
        hide_short_help = true,
        value_name = "URL",
        help_heading = "Connection"
    )]
    pub crm_cards: Option<String>,
    /// Address of the service channel-gateway
    #[arg(
        long,
        global = true,
        env = "SWITCHBOARD_CTL_CHANNEL_GATEWAY",
        hide_short_help = true,
        value_name = "URL",
        help_heading = "Connection"
    )]
    pub channel_gateway: Option<String>,
    /// Address of NATS
    #[arg(
        long,
        global = true,
        env = "SWITCHBOARD_CTL_NATS",
        hide_short_help = true,
        value_name = "URL",
        help_heading = "Connection"
    )]
    pub nats: Option<String>,
    /// How long a call may take, in seconds
    #[arg(long, global = true, env = "SWITCHBOARD_CTL_TIMEOUT", hide_short_help = true, value_name = "SECONDS",
          default_value = "10", value_parser = seconds, help_heading = "Connection")]
    pub timeout: Duration,
    /// How answers are printed
    #[arg(
        long,
        short,
        global = true,
        env = "SWITCHBOARD_CTL_OUTPUT",
        value_enum,
        default_value = "table",
        help_heading = "Output"
    )]
    pub output: Format,
    /// Only rows of a list whose field has this value, as `state=active`; `~` for a part of it, as `name~kava`. Fields are
    /// named as in JSON
    #[arg(
        long = "where",
        global = true,
        value_name = "FIELD=VALUE",
        help_heading = "Output"
    )]
    pub wanted: Vec<Condition>,
    /// Change nothing: show what would be, held against what there is; of several steps the first
    #[arg(long, global = true, help_heading = "Changes")]
    pub dry_run: bool,
    /// Do it without asking
    #[arg(long, short, global = true, help_heading = "Changes")]
    pub yes: bool,
    /// Exit with 3 when a list is empty
    #[arg(long, global = true, help_heading = "Output")]
    pub fail_empty: bool,
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For people with room: every column, as wide as it is.
    Wide,
    /// Protobuf JSON: a list is one array.
    Json,
    /// The same as YAML.
    Yaml,
    /// Protobuf JSON, one object a line.
    Ndjson,
    /// What a table has in its first column, one a line: `CHAT=$(switchboardctl chat list --limit 1 -o ids)`.
    #[value(alias = "name")]
    Ids,
}

/// The nouns.
#[derive(Subcommand)]
pub(crate) enum Noun {
    /// How the whole system is, on one screen
    Status(StatusArgs),
    /// What is wrong, and what to do next: exit code 0, 1 or 2
    Doctor(DoctorArgs),
    /// Where is my customer's message? By text, phone or a provider's id, with times and reasons
    Find(FindArgs),
    /// Why is there a card or none, and why this agent? Facts, candidates, rule and time
    Explain(ExplainArgs),
    /// Send a test message through everything, see it stored, a card made and an agent given the chat, and put all away again
    Rehearse(RehearseArgs),
    /// Everything that helps to find out what is wrong, in one file, without secrets
    Bundle(BundleArgs),
    /// Stop a channel, a consumer or an account's deliveries for a while; list what is stopped
    #[command(subcommand)]
    Pause(PauseVerb),
    /// Have go on what was stopped
    #[command(subcommand)]
    Resume(ResumeVerb),
    /// Have a replica take no more work
    Drain(DrainArgs),
    /// Named contexts: where services are and who you are
    #[command(subcommand)]
    Context(ContextVerb),
    /// Completions of verbs and of ids from the server, for a shell
    Completions(CompletionsArgs),
    /// Keys of an installation without an identity provider
    #[command(subcommand)]
    Keys(KeysVerb),
    /// Make a token
    Token(TokenArgs),
    /// Accounts: the tenants
    #[command(subcommand)]
    Account(AccountVerb),
    /// Agents: members of staff
    #[command(subcommand)]
    Agent(AgentVerb),
    /// Roles: what many agents may do, in one place
    #[command(subcommand)]
    Role(RoleVerb),
    /// Groups: agents under one name
    #[command(subcommand)]
    Group(GroupVerb),
    /// Channels: connected lines
    #[command(subcommand)]
    Channel(ChannelVerb),
    /// Pipelines that cards go through
    #[command(subcommand)]
    Pipeline(PipelineVerb),
    /// Sources that cards can carry
    #[command(subcommand)]
    Source(SourceVerb),
    /// Custom fields of cards, contacts, companies and orders
    #[command(subcommand)]
    Field(FieldVerb),
    /// Pipeline connections: a channel's rule for creating cards
    #[command(subcommand)]
    Connection(ConnectionVerb),
    /// Distribution: how a channel's chats find their agents
    #[command(subcommand)]
    Distribution(DistributionVerb),
    /// Responsibles kept in step between chats and CRM, by channel
    #[command(subcommand)]
    Sync(SyncVerb),
    /// Rules of channels: continuing, waiting, and what is answered by itself
    #[command(subcommand)]
    Rule(RuleVerb),
    /// Bots: scenarios that talk to clients by themselves, and NPS
    #[command(subcommand)]
    Bot(BotVerb),
    /// Calendars: working hours of the account, its channels and its agents
    #[command(subcommand)]
    Calendar(CalendarVerb),
    /// Chats, their messages and conversations
    #[command(subcommand)]
    Chat(ChatVerb),
    /// Saved filters of lists of chats: `chat list --filter NAME`
    #[command(subcommand)]
    Filter(FilterVerb),
    /// Notifications of an agent: whose clients wait
    #[command(subcommand)]
    Notification(NotificationVerb),
    /// Internal chats: what agents write each other on cards, contacts, companies and orders
    #[command(subcommand)]
    Internal(InternalVerb),
    /// Quick replies: texts and files that are prepared for reuse
    #[command(subcommand)]
    Reply(ReplyVerb),
    /// Cards in pipelines: leads, deals, applications, requests
    #[command(subcommand, visible_aliases = ["lead", "deal"], aliases = ["application", "request"])]
    Card(CardVerb),
    /// Decisions of pipeline connections
    #[command(subcommand)]
    Decision(DecisionVerb),
    /// Contacts and buyers
    #[command(subcommand)]
    Contact(ContactVerb),
    /// Companies that contacts belong to
    #[command(subcommand)]
    Company(CompanyVerb),
    /// Orders of buyers
    #[command(subcommand)]
    Order(OrderVerb),
    /// Who answers for a chat, and why
    #[command(subcommand)]
    Assignment(AssignmentVerb),
    /// What happened, and who did it
    #[command(subcommand)]
    Activity(ActivityVerb),
    /// Who changed which setting
    #[command(subcommand)]
    Audit(AuditVerb),
    /// What services could not handle
    #[command(subcommand, name = "deadletter")]
    DeadLetter(DeadLetterVerb),
    /// Domain events
    #[command(subcommand)]
    Events(EventsVerb),
    /// A sandbox: play a customer, or watch the whole story
    #[command(subcommand)]
    Demo(DemoVerb),
}

fn seconds(text: &str) -> Result<Duration, String> {
    let value: f64 = text
        .parse()
        .map_err(|_| String::from("a number of seconds, for example 10 or 0.5"))?;
    Duration::try_from_secs_f64(value)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| String::from("more than 0 seconds"))
}

/// A parser that takes one of a few words for a protobuf enum: `choice!(Presence, "PRESENCE_", ["online", "away"])`.
macro_rules! choice {
    ($kind:ty, $prefix:literal, [$($word:literal),+ $(,)?]) => {{
        use clap::builder::TypedValueParser as _;
        clap::builder::PossibleValuesParser::new([$($word),+]).map(|word: String| {
            let name = format!("{}{}", $prefix, word.to_uppercase().replace('-', "_"));
            <$kind>::from_str_name(&name).unwrap_or_default()
        })
    }};
}
pub(crate) use choice;

#[cfg(test)]
mod tests;
