use super::*;

/// Reads a file that comes in pieces of a size: rows as `line: cells`, then why it ended.
fn read(file: &[u8], size: usize) -> (Vec<String>, Option<BadFile>) {
    let (mut reader, mut rows) = (Reader::default(), Vec::new());
    let told = |row: Row| match row.bad {
        Some(bad) => format!("{}! {bad:?}", row.line),
        None => format!("{}: {}", row.line, row.cells.join("|")),
    };
    for piece in file.chunks(size) {
        let mut rest = piece;
        loop {
            match reader.read(&mut rest) {
                Ok(Some(row)) => rows.push(told(row)),
                Ok(None) => break,
                Err(bad) => return (rows, Some(bad)),
            }
        }
    }
    loop {
        match reader.end() {
            Ok(Some(row)) => rows.push(told(row)),
            Ok(None) => return (rows, None),
            Err(bad) => return (rows, Some(bad)),
        }
    }
}

#[test]
fn rows_are_read_with_the_lines_on_which_they_begin_whatever_pieces_they_come_in() {
    let cases: &[(&str, &[u8], &[&str])] = &[
        ("one", b"a,b\n1,2\n", &["1: a|b", "2: 1|2"]),
        ("no end", b"a,b\n1,2", &["1: a|b", "2: 1|2"]),
        ("a head alone", b"a,b", &["1: a|b"]),
        (
            "windows",
            b"\xef\xbb\xbfa;b\r\n1;2\r\n3;4\r\n",
            &["1: a|b", "2: 1|2", "3: 3|4"],
        ),
        (
            "old mac",
            b"a,b\r1,2\r3,4\r",
            &["1: a|b", "2: 1|2", "3: 3|4"],
        ),
        ("tabs", b"a\tb,c\td\n1\t2,3\n", &["1: a|b,c|d", "2: 1|2,3"]),
        (
            "empty lines",
            b"\n\r\na,b\n\n\r\n1,2\n\n,\n3,4\n\n",
            &["3: a|b", "6: 1|2", "9: 3|4"],
        ),
        (
            "lines within",
            b"a,b\n\"1\r\n1\n\",2\n3,\"4\"\"\n\"\n5,6\n",
            &["1: a|b", "2: 1\r\n1\n|2", "5: 3|4\"\n", "7: 5|6"],
        ),
        (
            "quotes that are none",
            b"a,b\n19\" screen,\"x\"y\n1,5\"",
            &["1: a|b", "2: 19\" screen|xy", "3: 1|5\""],
        ),
        (
            "a delimiter within the head's quotes",
            b"\"a;b;c\",d\n1,2\n",
            &["1: a;b;c|d", "2: 1|2"],
        ),
        (
            "as Excel says",
            b"sep=;\r\na,b;c\r\n1;2\r\n",
            &["2: a,b|c", "3: 1|2"],
        ),
        (
            "few and many",
            b"a,b\n1\n1,2,3\n",
            &["1: a|b", "2: 1", "3: 1|2|3"],
        ),
        (
            "not UTF-8",
            b"a,b\n1,\xcf\xf0\n3,4\n",
            &["1: a|b", "2! NotUtf8", "3: 3|4"],
        ),
        (
            "a letter parted by a delimiter",
            b"a,b\n\xd0,\x9f\n",
            &["1: a|b", "2! NotUtf8"],
        ),
        (
            "never closed",
            b"a,b\n1,2\n\"3,4\n5,6\n",
            &["1: a|b", "2: 1|2", "3! Unclosed"],
        ),
    ];
    for (name, file, expected) in cases {
        for size in [1, 2, 3, 7, 4096] {
            let (rows, bad) = read(file, size);
            assert_eq!(
                (rows.as_slice(), bad),
                (
                    expected
                        .iter()
                        .map(|row| (*row).to_owned())
                        .collect::<Vec<_>>()
                        .as_slice(),
                    None,
                ),
                "{name} in pieces of {size}"
            );
        }
    }
}

#[test]
fn a_file_without_a_first_line_that_can_be_read_is_refused() {
    let long = [b"a,".repeat(HEAD_MAX), b"\n".to_vec()].concat();
    let wide = [b"a,".repeat(CELLS_MAX + 1), b"\n".to_vec()].concat();
    let utf_16: Vec<u8> = "a,b\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [b"\xff\xfe".to_vec(), utf_16.clone()].concat();
    for (name, file, expected) in [
        ("empty", b"".to_vec(), BadFile::Empty),
        ("blank", b"\xef\xbb\xbf\r\n\n".to_vec(), BadFile::Empty),
        ("UTF-16", marked, BadFile::Utf16),
        ("UTF-16 without a mark", utf_16, BadFile::Utf16),
        (
            "Windows-1251",
            b"\xc8\xec\xff,b\n".to_vec(),
            BadFile::NotUtf8,
        ),
        (
            "no line at all",
            vec![b'a'; 10 * HEAD_MAX],
            BadFile::HeadTooLong,
        ),
        ("a long line", long, BadFile::HeadTooLong),
        ("too many columns", wide, BadFile::TooManyColumns),
        ("never closed", b"\"a,b\n1,2\n".to_vec(), BadFile::Unclosed),
    ] {
        assert_eq!(read(&file, 1000), (Vec::new(), Some(expected)), "{name}");
    }
}

#[test]
fn rows_without_measure_are_refused_and_what_follows_is_read() {
    let huge = "x".repeat(3 * ROW_MAX);
    let wide = ",".repeat(1_000_000);
    let file = format!("a,b\n{huge},2\n1,2\n{wide}\n\"{huge}\n{huge}\",2\n3,4\n\"{huge}");
    let (rows, bad) = read(file.as_bytes(), 100_000);
    assert_eq!(bad, None);
    assert_eq!(
        rows,
        [
            "1: a|b",
            "2! TooLong",
            "3: 1|2",
            "4! TooManyCells",
            "5! TooLong",
            "7: 3|4",
            "8! TooLong"
        ]
    );
}
