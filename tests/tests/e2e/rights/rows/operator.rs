//! Methods of the operator, which each service answers.

use super::super::requests::*;
use super::Told::{Refused, Seen, Without};
use super::{NOBODY, Row, row, service};

pub(super) fn rows() -> Vec<Row> {
    [
        service(
            "operator.v1.AuditService",
            [row(
                "ListAuditEntries",
                nothing,
                "",
                [
                    Seen, Refused, Refused, Refused, Refused, Without, Refused, Without,
                ],
            )],
        ),
        service(
            "operator.v1.OperatorService",
            [
                row("GetStatus", nothing, "", NOBODY),
                row("Diagnose", nothing, "", NOBODY),
                row("ListDeadLetters", nothing, "", NOBODY),
                row("GetDeadLetter", get_dead_letter, "", NOBODY),
                row("ReplayDeadLetters", nothing, "", NOBODY),
                row("GetReport", nothing, "", NOBODY),
                row("SetPause", pause, "", NOBODY),
                row("EndPause", pause, "", NOBODY),
                row("GetPause", pause, "", NOBODY),
                row("ListPauses", nothing, "", NOBODY),
            ],
        ),
    ]
    .concat()
}
