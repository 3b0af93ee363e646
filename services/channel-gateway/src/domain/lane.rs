//! Where a chat's lane stands: command n goes only when n − 1 is final (B03).

/// A stored command of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// Its number.
    pub out_seq: i64,
    /// Whether it is sent, failed, uncertain or cancelled.
    pub is_final: bool,
}

/// What a lane has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// This command is next.
    Send(i64),
    /// This command is missing while later ones are there.
    Gap(i64),
    /// Nothing more is stored from this number on.
    Idle(i64),
    /// All that was looked at is final: look again from this number.
    Further(i64),
}

/// Decides whose turn it is, given the commands from `next` on, by number; `more` tells that the list was cut.
pub fn turn(next: i64, commands: &[Command], more: bool) -> Turn {
    let mut expected = next;
    for command in commands.iter().filter(|command| command.out_seq >= next) {
        if command.out_seq != expected {
            return Turn::Gap(expected);
        }
        if !command.is_final {
            return Turn::Send(expected);
        }
        expected += 1;
    }
    if more {
        Turn::Further(expected)
    } else {
        Turn::Idle(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b03_a_command_goes_only_when_the_one_before_is_final() {
        let done = |out_seq| Command {
            out_seq,
            is_final: true,
        };
        let open = |out_seq| Command {
            out_seq,
            is_final: false,
        };
        for (name, next, commands, more, expected) in [
            ("nothing stored", 1, vec![], false, Turn::Idle(1)),
            ("first", 1, vec![open(1), open(2)], false, Turn::Send(1)),
            (
                "first is final",
                1,
                vec![done(1), open(2)],
                false,
                Turn::Send(2),
            ),
            ("overtaken", 1, vec![open(2)], false, Turn::Gap(1)),
            (
                "gap behind a final one",
                1,
                vec![done(1), open(3)],
                false,
                Turn::Gap(2),
            ),
            ("all final", 1, vec![done(1), done(2)], false, Turn::Idle(3)),
            (
                "all final so far",
                1,
                vec![done(1), done(2)],
                true,
                Turn::Further(3),
            ),
            (
                "older ones are passed",
                3,
                vec![open(2), open(3)],
                false,
                Turn::Send(3),
            ),
        ] {
            assert_eq!(turn(next, &commands, more), expected, "{name}");
        }
    }
}
