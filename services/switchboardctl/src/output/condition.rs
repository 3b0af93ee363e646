//! Which rows of a list are wanted: `--where FIELD=VALUE`, by the names and values of protobuf JSON.

use std::str::FromStr;

use serde_json::Value;

use crate::error::CliError;

/// One condition. All that are given must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    field: String,
    value: String,
    /// A part of the value is enough.
    part: bool,
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = text.find(['=', '~']).filter(|at| *at > 0);
        let at = at.ok_or("FIELD=VALUE, or FIELD~PART, as state=active")?;
        let (field, rest) = text.split_at(at);
        Ok(Self {
            field: field.to_owned(),
            value: rest.get(1..).unwrap_or_default().to_lowercase(),
            part: rest.starts_with('~'),
        })
    }
}

/// Tells whether a row meets all conditions. A field that no row of this list has is a mistake, and is told with those there are.
pub(crate) fn all(conditions: &[Condition], row: &Value) -> Result<bool, CliError> {
    for condition in conditions {
        let pointer = format!("/{}", condition.field.replace('.', "/"));
        let Some(found) = row.pointer(&pointer) else {
            // Within what is absent anything may be named; at the top all names are there.
            if condition.field.contains('.') {
                return Ok(false);
            }
            let names = row.as_object().map(|fields| fields.keys());
            let names: Vec<&str> = names.into_iter().flatten().map(String::as_str).collect();
            return Err(CliError::usage(
                &format!("rows of this list have no field {}", condition.field),
                &format!("one of: {}", names.join(", ")),
            ));
        };
        if !condition.holds(found) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Condition {
    fn holds(&self, found: &Value) -> bool {
        match found {
            // Of a list one is enough.
            Value::Array(values) => values.iter().any(|value| self.holds(value)),
            Value::String(text) => self.fits(text),
            Value::Null => self.value.is_empty(),
            other => self.fits(&other.to_string()),
        }
    }

    fn fits(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        if self.part {
            return text.contains(&self.value);
        }
        // Values of enums are shown as words: `STATE_IN_PROGRESS` is `in-progress`.
        let word = text.replace('_', "-");
        let ended = word.strip_suffix(&self.value);
        text == self.value
            || ended.is_some_and(|rest| rest.ends_with('-') && !self.value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn o202_rows_are_wanted_by_field_and_value() {
        let row = json!({
            "state": "STATE_IN_PROGRESS", "name": "Kava bot", "count": 3, "spam": false, "labels": ["VIP", "new"],
            "client": {"name": "Олена"}, "wakeTime": null,
        });
        for (text, wanted) in [
            ("state=in-progress", true),
            ("state=STATE_IN_PROGRESS", true),
            ("state=progress", true),
            ("state=gress", false),
            ("state=new", false),
            ("name=kava bot", true),
            ("name=kava", false),
            ("name~KAVA", true),
            ("count=3", true),
            ("spam=false", true),
            ("labels=vip", true),
            ("client.name~олен", true),
            ("client.phone=1", false),
            ("wakeTime=", true),
        ] {
            let condition: Condition = text.parse().unwrap();
            assert_eq!(all(&[condition], &row).ok(), Some(wanted), "{text}");
        }
        let both = ["state=in-progress", "count=4"].map(|text| text.parse().unwrap());
        assert_eq!(all(&both, &row).ok(), Some(false));
        let unknown: Condition = "stat=new".parse().unwrap();
        let text = all(&[unknown], &row).unwrap_err().render();
        assert!(
            text.contains("no field stat") && text.contains("wakeTime"),
            "{text}"
        );
        assert!("state".parse::<Condition>().is_err());
        assert!("=x".parse::<Condition>().is_err());
    }
}
