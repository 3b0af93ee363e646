//! What can be typed, and what is refused before anything is called.

use clap::CommandFactory as _;

use super::*;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

/// Options of every verb are handed down to it: an own one of the same name would be read as theirs.
#[test]
fn no_verb_has_an_option_that_every_verb_has() {
    fn walk(command: &clap::Command, globals: &[String], path: &str, clashes: &mut Vec<String>) {
        for verb in command.get_subcommands() {
            let path = format!("{path} {}", verb.get_name());
            let own = verb
                .get_arguments()
                .map(|argument| argument.get_id().to_string());
            let own = own.filter(|id| globals.contains(id));
            clashes.extend(own.map(|id| format!("{path}: {id}")));
            walk(verb, globals, &path, clashes);
        }
    }
    // Not built: nothing is handed down yet.
    let command = Cli::command();
    let globals = command.get_arguments().filter(|it| it.is_global_set());
    let globals: Vec<String> = globals.map(|it| it.get_id().to_string()).collect();
    assert!(globals.contains(&"conversation".to_owned()));
    let mut clashes = Vec::new();
    walk(&command, &globals, "switchboardctl", &mut clashes);
    assert_eq!(clashes, Vec::<String>::new());
}

#[test]
fn o204_a_dry_run_is_refused_where_there_is_none() {
    for (line, refused) in [
        ("--dry-run keys init --dir /nowhere", true),
        ("--dry-run demo customer hello", true),
        ("--dry-run context use live", true),
        ("--dry-run context list", false),
        ("--dry-run agent list", false),
    ] {
        let words = std::iter::once("switchboardctl").chain(line.split_whitespace());
        let Ok(cli) = Cli::try_parse_from(words) else {
            panic!("{line} cannot be typed")
        };
        assert_eq!(!crate::verbs::has_dry_run(&cli.noun), refused, "{line}");
    }
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
fn usage_of_filters_and_presence_is_refused_before_anything_is_called() {
    for (line, fits) in [
        ("filter create Late --unanswered --state active", true),
        ("filter create --unanswered", false),
        ("filter create Mine --mine --responsible me", false),
        ("filter update Late --name Later", true),
        ("filter update", false),
        ("filter delete Late", true),
        ("chat list --filter Late --label vip --all", true),
        ("chat watch --filter Late", true),
        (
            "chat presence 0197e7a4-0000-7000-8000-000000000000 --typing",
            true,
        ),
        (
            "chat presence 0197e7a4-0000-7000-8000-000000000000 --watch",
            true,
        ),
        (
            "chat presence 0197e7a4-0000-7000-8000-000000000000 --typing --left",
            false,
        ),
        (
            "chat presence 0197e7a4-0000-7000-8000-000000000000 --typing --watch",
            false,
        ),
        ("chat presence", false),
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
