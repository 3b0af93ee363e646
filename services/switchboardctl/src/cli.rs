//! What can be typed: the options every verb has, and the nouns.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::demo::DemoVerb;
use crate::keys::KeysVerb;
use crate::token::TokenArgs;
use crate::verbs::{
    account::AccountVerb, activity::ActivityVerb, agent::AgentVerb, assignment::AssignmentVerb,
    audit::AuditVerb, bot::BotVerb, calendar::CalendarVerb, card::CardVerb, channel::ChannelVerb,
    chat::ChatVerb, company::CompanyVerb, connection::ConnectionVerb, contact::ContactVerb,
    deadletter::DeadLetterVerb, decision::DecisionVerb, distribution::DistributionVerb,
    events::EventsVerb, field::FieldVerb, group::GroupVerb, internal::InternalVerb,
    notification::NotificationVerb, order::OrderVerb, pipeline::PipelineVerb, reply::ReplyVerb,
    role::RoleVerb, rule::RuleVerb, source::SourceVerb, sync::SyncVerb,
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
    /// TOML file with addresses, account and key
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
    /// Exit with 3 when a list is empty
    #[arg(long, global = true, help_heading = "Output")]
    pub fail_empty: bool,
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// Protobuf JSON: a list is one array.
    Json,
    /// Protobuf JSON, one object a line.
    Ndjson,
    /// What a table has in its first column, one a line: `CHAT=$(switchboardctl chat list --limit 1 -o ids)`.
    Ids,
}

/// The nouns.
#[derive(Subcommand)]
pub(crate) enum Noun {
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
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    fn is_usage(line: &str) -> bool {
        let words = std::iter::once("switchboardctl").chain(line.split_whitespace());
        Cli::try_parse_from(words).is_ok()
    }

    #[test]
    fn f032_d17_a_card_is_meant_by_each_of_its_names() {
        for name in ["card", "lead", "deal", "application", "request"] {
            let read = Cli::try_parse_from(["switchboardctl", name, "list"]).unwrap();
            assert!(matches!(read.noun, Noun::Card(CardVerb::List(_))), "{name}");
        }
    }

    #[test]
    fn usage_is_refused_before_anything_is_called() {
        for (line, fits) in [
            ("chat list", true),
            ("chat list --state unassigned --state active", true),
            ("chat list --state asleep", false),
            ("chat list -o json --fail-empty", true),
            ("chat list -o xml", false),
            ("chat list --limit 1 -o ids", true),
            ("chat send", false),
            ("agent presence olena online", true),
            ("agent presence olena dancing", false),
            ("agent presence olena away --reason lunch --for 45m", true),
            ("agent presence olena away --for 45", false),
            (
                "agent presence olena away --for 45m --until 2026-03-02T18:00:00+02:00",
                false,
            ),
            ("agent presence olena automatic", true),
            ("calendar set --zone Europe/Kyiv", false),
            ("calendar set --zone Europe/Kyiv --closed", true),
            (
                "calendar set --agent olena --channel 0197e7a4-0000-7000-8000-000000000000 --zone UTC",
                false,
            ),
            (
                "role create Sales --leads own --contacts own --settings",
                true,
            ),
            ("role create Sales --create-leads true", false),
            ("group create Kyiv olena taras", true),
            (
                "group update 0197e7a4-0000-7000-8000-000000000000 --empty --agent olena",
                false,
            ),
            (
                "connection set 0197e7a4-0000-7000-8000-000000000000 --mode repeat --scope client",
                true,
            ),
            (
                "connection set 0197e7a4-0000-7000-8000-000000000000 --mode sometimes",
                false,
            ),
            ("deadletter replay --service conversation 4 5", true),
            ("deadletter replay --service conversation", false),
            ("deadletter replay 4", true),
            ("deadletter replay", false),
            ("deadletter show 4", true),
            (
                "audit list --service conversation --subject channel --since 2h",
                true,
            ),
            (
                "audit list --actor Olena --until 2026-03-02T18:00:00+02:00",
                true,
            ),
            ("audit list --service crm", false),
            (
                "activity list --type conversation.opened --type conversation.closed --actor Olena --since 2h",
                true,
            ),
            (
                "activity list --entity card:0197e7a4-0000-7000-8000-000000000000 --key-actions -o json",
                true,
            ),
            ("activity list --entity chat", false),
            ("audit list --since yesterday", false),
            ("chat list --all", true),
            ("chat list --all --limit 3", false),
            ("chat list --limit 10001", false),
            (
                "channel connect 0197e7a4-0000-7000-8000-000000000000 --credentials x.json",
                true,
            ),
            (
                "channel connect 0197e7a4-0000-7000-8000-000000000000 --credentials-file x.json",
                true,
            ),
            (
                "channel credentials 0197e7a4-0000-7000-8000-000000000000 --bot-token-file x",
                true,
            ),
            (
                "channel credentials 0197e7a4-0000-7000-8000-000000000000",
                false,
            ),
            (
                "channel create Shop --credentials x.json --bot-token-file y",
                false,
            ),
            (
                "token --scope chats:* --agent 0197e7a4-0000-7000-8000-000000000000 --service x",
                false,
            ),
            ("token --internal --ops", false),
            ("--timeout 0 chat list", false),
            ("events watch --count 3 --from-start", true),
            ("", false),
        ] {
            assert_eq!(is_usage(line), fits, "{line}");
        }
    }

    #[test]
    fn usage_of_quick_replies_is_refused_before_anything_is_called() {
        for (line, fits) in [
            ("reply create Hello Hi --shared --folder Sales", true),
            ("reply create Hello Hi --shared --group Kyiv", false),
            ("reply create Hello", false),
            ("reply create Prices --file prices.pdf", true),
            ("reply list pri --owner group --changeable", true),
            ("reply list --owner team", false),
            (
                "reply update 0197e7a4-0000-7000-8000-000000000000 --text Bye --expect 2",
                true,
            ),
            ("reply render 0197e7a4-0000-7000-8000-000000000000", false),
        ] {
            assert_eq!(is_usage(line), fits, "{line}");
        }
    }

    #[test]
    fn usage_of_pipelines_fields_and_cards_is_refused_before_anything_is_called() {
        for (line, fits) in [
            (
                "pipeline update Sales --add Call=in-progress --remove Old --to Old=Call",
                true,
            ),
            ("pipeline update Sales --add Call", false),
            ("field create card city City", true),
            ("field create client city City", false),
            ("field create card size Size number --required", true),
            ("field create card size Size money", false),
            ("card list --owner none --text oak --by update", true),
            ("card list --owner Olena --mine", false),
            (
                "card update 0197e7a4-0000-7000-8000-000000000000 --amount 1200.50:UAH --set city=Kyiv",
                true,
            ),
            (
                "card update 0197e7a4-0000-7000-8000-000000000000 --amount 1200.50",
                false,
            ),
            ("card board Sales --size 51", false),
            ("contact list --owner none --text anna --buyer yes", true),
            ("contact list --owner Olena --mine", false),
            ("contact list --buyer maybe", false),
            (
                "contact create Anna --phone +380441234567 --set city=Kyiv",
                true,
            ),
            ("contact create", false),
            (
                "contact bind 0197e7a4-0000-7000-8000-000000000000 --chat 0197e7a4-0000-7000-8000-000000000001",
                true,
            ),
            ("contact bind 0197e7a4-0000-7000-8000-000000000000", false),
            ("contact import contacts.csv", true),
            ("contact import", false),
            (
                "contact import contacts.csv --dry-run --update --refusals refused.csv -o json",
                true,
            ),
            ("contact import contacts.csv --pipeline Sales", false),
            (
                "card import cards.csv --pipeline Sales --import-id spring",
                true,
            ),
            ("company export --output-file companies.csv --excel", true),
            ("contact export", true),
            ("card export cards.csv", false),
            (
                "company update 0197e7a4-0000-7000-8000-000000000000 --parent none",
                true,
            ),
            (
                "company update 0197e7a4-0000-7000-8000-000000000000 --parent Oak",
                false,
            ),
        ] {
            assert_eq!(is_usage(line), fits, "{line}");
        }
    }

    #[test]
    fn usage_of_files_deliveries_and_settings_is_refused_before_anything_is_called() {
        for (line, fits) in [
            ("chat send 0197e7a4-0000-7000-8000-000000000000", false),
            ("chat write 0197e7a4-0000-7000-8000-000000000000", false),
            (
                "chat write 0197e7a4-0000-7000-8000-000000000000 mailbox",
                true,
            ),
            (
                "chat write 0197e7a4-0000-7000-8000-000000000000 mailbox Hello --subject Order --file a.png",
                true,
            ),
            ("chat send 0197e7a4-0000-7000-8000-000000000000 Hello", true),
            (
                "chat send 0197e7a4-0000-7000-8000-000000000000 --file a.png --file b.png",
                true,
            ),
            (
                "chat send 0197e7a4-0000-7000-8000-000000000000 Here --file a.png",
                true,
            ),
            (
                "chat send 0197e7a4-0000-7000-8000-000000000000 --attachment 0197e7a4-0000-7000-8000-000000000001",
                true,
            ),
            (
                "chat send 0197e7a4-0000-7000-8000-000000000000 --file a.png --request-id x",
                false,
            ),
            (
                "chat deliveries 0197e7a4-0000-7000-8000-000000000000 --message 0197e7a4-0000-7000-8000-000000000001",
                true,
            ),
            (
                "chat deliveries 0197e7a4-0000-7000-8000-000000000000 --message 0197e7a4-0000-7000-8000-000000000001 --limit 3",
                false,
            ),
            (
                "channel rename 0197e7a4-0000-7000-8000-000000000000 Shop",
                true,
            ),
            (
                "channel short-links 0197e7a4-0000-7000-8000-000000000000 on",
                true,
            ),
            (
                "channel short-links 0197e7a4-0000-7000-8000-000000000000 maybe",
                false,
            ),
            (
                "channel capabilities 0197e7a4-0000-7000-8000-000000000000",
                true,
            ),
        ] {
            assert_eq!(is_usage(line), fits, "{line}");
        }
    }
}
