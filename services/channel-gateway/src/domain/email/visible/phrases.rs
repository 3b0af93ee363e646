//! Words by which mail programs of many languages announce what they quote.

use std::sync::LazyLock;

use regex::Regex;

/// "wrote" in the languages of mail programs, in lower case.
const WROTE: &[&str] = &[
    "wrote", "writes", "sent", "написал", "написала", "написал(а)", "пишет", "пише", "написав", "написала", "написав(ла)",
    "написа", "schrieb", "schrieben", "geschrieben", "a écrit", "a ecrit", "écrit", "escribió", "escribio", "escreveu", "ha scritto", "scritto",
    "schreef", "geschreven", "skrev", "kirjoitti", "napisał", "napisała", "napisał(a)", "napisal", "napísal", "napsal", "napsala",
    "napsal(a)", "napísal(a)", "a scris", "írta", "yazdı", "şunları yazdı", "έγραψε", "đã viết", "viết", "menulis", "kirjutas", "rašė", "je napisao", "je napisal",
    "escrigué", "va escriure", "写道", "寫道", "写到", "のメール", "さんは書きました", "님이 작성", "작성", "כתב", "كتب",
];

/// Words with which the line of a quoted mail begins, in lower case.
const ON: &[&str] = &[
    "on ", "at ", "am ", "den ", "le ", "el ", "il ", "em ", "no dia ", "op ", "dnia ", "w dniu ", "vào ", "på ", "dne ", "dňa ",
    "la data de ", "în data ", "στις ", "το ", "tarihinde", "a(z) ", "в ", "від ", "от ", "у ", "mon", "tue", "wed", "thu", "fri", "sat", "sun", "понедельник", "вторник", "сред", "четверг", "пятниц",
    "суббот", "воскресенье", "понеділок", "вівторок", "середа", "п'ятниц", "п’ятниц", "субота", "неділя", "пн", "вт", "ср", "чт", "пт",
    "сб", "вс", "нд", "在", "于", "於", "von:", "---",
];

/// "Original message" in lower case.
const ORIGINAL: &[&str] = &[
    "original message", "original-nachricht", "originalnachricht", "ursprüngliche nachricht", "message d'origine", "message d’origine",
    "message original", "mensaje original", "mensagem original", "messaggio originale", "oorspronkelijk bericht", "origineel bericht",
    "ursprungligt meddelande", "originalmeddelande", "opprinnelig melding", "original melding", "oprindelig meddelelse", "original meddelelse",
    "alkuperäinen viesti", "wiadomość oryginalna", "oryginalna wiadomość", "původní zpráva", "původní e-mail", "pôvodná správa", "исходное сообщение",
    "оригинальное сообщение", "вихідне повідомлення", "оригінал повідомлення", "початкове повідомлення", "mesaj original", "eredeti üzenet", "orijinal mesaj", "orijinal ileti",
    "原始邮件", "原始郵件", "原邮件", "邮件原件", "元のメッセージ", "원본 메일", "원본 메시지", "reply message", "antwort nachricht",
];

/// "Forwarded message" in lower case.
const FORWARDED: &[&str] = &[
    "forwarded message", "begin forwarded message", "forwarded by", "forwarded mail", "start of forwarded message", "weitergeleitete nachricht", "anfang der weitergeleiteten",
    "anfang der weitergeleiteten nachricht", "message transféré", "message transfere", "début du message transféré", "début du message réexpédié", "message réexpédié",
    "mensaje reenviado", "inicio del mensaje reenviado", "mensagem encaminhada", "mensagem reencaminhada", "início da mensagem encaminhada",
    "messaggio inoltrato", "inizio messaggio inoltrato", "doorgestuurd bericht", "begin doorgestuurd bericht", "vidarebefordrat meddelande", "vidarebefordrat brev",
    "vidaresänt meddelande", "videresendt melding", "videresendt meddelelse", "videresendt e-mail", "välitetty viesti", "edelleenlähetetty viesti",
    "przekazana wiadomość", "wiadomość przesłana dalej", "wiadomość przekazana dalej", "przeposlaná zpráva", "přeposlaná zpráva",
    "přeposlaný e-mail", "preposlaná správa", "пересланное сообщение", "пересылаемое сообщение", "переадресованное сообщение", "начало переадресованного сообщения",
    "переслане повідомлення", "пересланий лист", "переадресоване повідомлення", "mesaj redirecționat", "továbbított üzenet", "yönlendirilmiş mesaj", "iletilen mesaj",
    "转发邮件", "转发的邮件", "轉寄郵件", "轉寄的郵件", "已转发邮件", "転送メッセージ", "転送されたメッセージ", "전달된 메일", "전달된 메시지",
];

/// Beginnings of a forwarded mail's subject, in lower case.
const FORWARD_SUBJECTS: &[&str] = &[
    "fwd", "fw", "wg", "tr", "rv", "enc", "i", "vb", "vs", "vl", "pd", "doorst", "fvs", "переслано", "пересл", "переслать", "转发", "轉寄", "転送", "전달",
];

/// Beginnings of a line that a telephone or program puts under what its owner writes, in lower case.
const SENT_FROM: &[&str] = &[
    "sent from", "sent via", "sent with", "sent by", "sent using", "sent on", "get outlook for", "get [outlook for", "download outlook", "written on my", "from my iphone", "from my ipad", "from my android", "envoyé de", "envoyé depuis",
    "envoyé avec", "envoyé à partir", "télécharger outlook", "obtenir outlook", "von meinem", "von meiner", "gesendet von", "gesendet mit", "gesendet über", "diese nachricht wurde von mein", "holen sie sich outlook",
    "enviado desde", "enviado con", "enviado de", "enviado do", "enviado a partir", "enviada do", "obtener outlook", "obter o outlook", "inviato da", "inviato con", "inviata da", "ottieni outlook",
    "verzonden vanaf", "verstuurd vanaf", "verzonden met", "verstuurd met", "outlook voor", "sendt fra", "sendt med", "skickat från", "skickades från", "skickat med", "lähetetty", "wysłane z", "wysłano z",
    "odesláno z", "odosláno z", "odoslané z", "trimis de pe", "trimis din", "küldve", "gönderildi", "відправлено з", "відправлено із", "надіслано з", "надіслано із", "відіслано з", "отправлено с", "отправлено из", "отправлено через",
    "发自我的", "從我的", "从我的", "發自我的", "來自我的", "iphoneから送信", "ipadから送信", "androidから送信", "나의 iphone에서", "iphone에서 보냄", "gửi từ",
];

static DATE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\d{1,2}[:.h]\d{2}|(?:19|20)\d{2}|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{1,2}月").ok()
});

static DATE_FIRST: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^(?:\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})").ok()
});

/// Tells whether a text holds something like a date or a time.
pub fn has_date(text: &str) -> bool {
    DATE.as_ref().is_some_and(|date| date.is_match(text))
}

/// Tells whether a text begins with a date in digits.
pub fn starts_with_date(text: &str) -> bool {
    DATE_FIRST.as_ref().is_some_and(|date| date.is_match(text))
}

/// Tells whether a line in lower case begins as the line before a quotation does.
pub fn starts_like_attribution(lower: &str) -> bool {
    lower.starts_with(|c: char| c.is_ascii_digit()) || ON.iter().any(|word| lower.starts_with(word))
}

/// Returns what stands behind the last "wrote" of a line in lower case.
pub fn behind_wrote(lower: &str) -> Option<&str> {
    let mut best: Option<usize> = None;
    for word in WROTE {
        if let Some(at) = lower.rfind(word) {
            let before = lower[..at].chars().next_back();
            let end = at + word.len();
            let after = lower[end..].chars().next();
            let inside = |c: Option<char>| {
                c.is_some_and(char::is_alphabetic) && word.chars().all(is_spaced)
            };
            if !inside(before) && !inside(after) {
                best = best.max(Some(end));
            }
        }
    }
    best.map(|end| &lower[end..])
}

/// Letters of scripts that put spaces between words.
fn is_spaced(c: char) -> bool {
    !matches!(c, '\u{3040}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}')
}

/// Takes away the signs with which a line is set off.
fn bare(line: &str) -> &str {
    line.trim_matches(|c: char| c.is_whitespace() || "-_*=>~#:：".contains(c))
}

/// Tells whether a line says that the original message follows.
pub fn is_original(line: &str) -> bool {
    let marked = line.trim_start().starts_with(['-', '_', '*', '=']);
    marked && line.len() < 200 && {
        let lower = bare(line).to_lowercase();
        ORIGINAL.contains(&lower.as_str())
    }
}

/// Tells whether a line says that a forwarded message follows.
pub fn is_forward(line: &str) -> bool {
    let line = line.trim_start_matches(|c: char| c == '>' || c.is_whitespace());
    let line = line.trim_end();
    if line.is_empty() || line.len() > 200 {
        return false;
    }
    let marked = line.starts_with("--") || line.starts_with("__") || line.starts_with("==") || line.ends_with([':', '：', '-']);
    marked && {
        let lower = bare(line).to_lowercase();
        FORWARDED
            .iter()
            .any(|phrase| lower == *phrase || (lower.starts_with(phrase) && line.starts_with('-')))
    }
}

/// Tells whether a subject says that the mail is forwarded.
pub fn is_forward_subject(subject: &str) -> bool {
    let lower = subject.trim_start().to_lowercase();
    let Some((word, _)) = lower.split_once([':', '：']) else {
        return false;
    };
    let word = word.trim().trim_end_matches(|c: char| c == '[' || c == ']' || c.is_ascii_digit());
    FORWARD_SUBJECTS.contains(&word)
}

/// Tells whether a line is what a telephone or program puts under a mail.
pub fn is_sent_from(line: &str) -> bool {
    let line = line.trim().trim_start_matches(|c: char| "*_-–—<>([ ".contains(c));
    if line.len() > 160 {
        return false;
    }
    let lower = line.to_lowercase();
    SENT_FROM.iter().any(|start| lower.starts_with(start))
}

/// A field of a quoted mail's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// Who wrote.
    From,
    /// When.
    Date,
    /// To whom.
    To,
    /// About what.
    Subject,
    /// Anything else that such heads hold.
    Other,
}

/// Returns the field that a line shows, and its value.
pub fn field(line: &str) -> Option<(Field, &str)> {
    let line = line.trim_start_matches(|c: char| c.is_whitespace() || c == '*' || c == '_');
    let end = line.char_indices().take(28).find(|(_, c)| *c == ':' || *c == '：')?;
    let name = line[..end.0].trim_end_matches(|c: char| c.is_whitespace() || c == '*' || c == '_');
    let value = line[end.0 + end.1.len_utf8()..].trim_matches(|c: char| c.is_whitespace() || c == '*');
    let field = match name.to_lowercase().as_str() {
        "from" | "von" | "de" | "da" | "van" | "fra" | "från" | "od" | "от" | "от кого" | "від" | "від кого" | "lähettäjä"
        | "feladó" | "kimden" | "gönderen" | "remetente" | "mittente" | "expéditeur" | "remitente" | "absender" | "avsändare" | "afsender" | "avsender"
        | "nadawca" | "odesílatel" | "odosielateľ" | "de la" | "από" | "发件人" | "發件人" | "寄件者" | "寄件人" | "差出人" | "보낸 사람" | "từ" => Field::From,
        "date" | "sent" | "gesendet" | "datum" | "envoyé" | "enviado" | "enviada" | "enviado el" | "enviada em" | "fecha" | "data" | "inviato"
        | "verzonden" | "sendt" | "dato" | "skickat" | "wysłano" | "wysłane" | "odesláno" | "odoslané" | "lähetetty" | "päivä" | "päiväys" | "elküldve"
        | "dátum" | "tarih" | "gönderilme" | "дата" | "отправлено" | "надіслано" | "відправлено" | "час" | "trimis" | "发送时间" | "发送日期" | "傳送時間" | "寄件日期" | "日期" | "送信日時"
        | "日時" | "날짜" | "보낸 날짜" | "ngày" | "sent at" | "date sent" | "time" => Field::Date,
        "to" | "an" | "à" | "a" | "para" | "aan" | "til" | "till" | "do" | "komu" | "кому" | "vastaanottaja" | "címzett" | "kime" | "destinataire"
        | "destinatário" | "destinatario" | "empfänger" | "către" | "προς" | "收件人" | "收件者" | "宛先" | "받는 사람" | "đến" => Field::To,
        "subject" | "betreff" | "objet" | "asunto" | "assunto" | "oggetto" | "onderwerp" | "emne" | "ämne" | "temat" | "předmět" | "predmet" | "aihe"
        | "tárgy" | "konu" | "тема" | "subiect" | "θέμα" | "主题" | "主題" | "主旨" | "件名" | "제목" | "chủ đề" => Field::Subject,
        "cc" | "bcc" | "copy" | "kopie" | "copie à" | "kopia" | "kopi" | "копия" | "копія" | "抄送" | "副本" | "reply-to" | "reply to" | "antwort an" | "répondre à" | "risposta"
        | "responder a" | "responder para" | "importance" | "priority" | "wichtigkeit" | "attachments" | "anlagen" | "mailed-by" | "organization" | "organisation" => Field::Other,
        _ => return None,
    };
    Some((field, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_mail_programs_are_known() {
        for line in ["-----Original Message-----", "*-------- Original Message --------*", "-----Исходное сообщение-----", "---- 原始邮件 ----"] {
            assert!(is_original(line), "{line}");
        }
        assert!(!is_original("Original message") && !is_original("- my original message -"));
        for line in ["---------- Forwarded message ---------", "> Begin forwarded message:", "-------- Переслане повідомлення --------"] {
            assert!(is_forward(line), "{line}");
        }
        assert!(!is_forward("I saw the forwarded message"));
        for subject in ["Fwd: a", "FW: a", "WG: a", "Fwd[2]: a"] {
            assert!(is_forward_subject(subject), "{subject}");
        }
        assert!(!is_forward_subject("Re: Fwd: a") && !is_forward_subject("Forward: a") && !is_forward_subject("a"));
        for line in ["Sent from my iPhone", "Надіслано з мого iPhone", "发自我的 iPhone"] {
            assert!(is_sent_from(line), "{line}");
        }
        assert_eq!(field("*Від:* a@b.example"), Some((Field::From, "a@b.example")));
        assert_eq!(field("To: b"), Some((Field::To, "b")));
        assert_eq!(field("Price: 5"), None);
    }
}
