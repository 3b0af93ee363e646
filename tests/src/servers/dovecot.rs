//! A private Dovecot: IMAP with IDLE and TLS, mails delivered by LMTP.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

use super::postgres::is_root;
use super::process::{Process, ports};

/// Names the program if it is not on `PATH`.
const PROGRAM: &str = "SWITCHBOARD_DOVECOT_BIN";
/// The unprivileged user that Debian's package makes: Dovecot's login process refuses to run as root.
const USER: &str = "dovenull";
const PATIENCE: Duration = Duration::from_secs(20);

/// A self-signed certificate for this machine as it calls itself, for servers under test.
pub struct Certificate {
    /// The certificate, to be trusted by clients.
    pub der: Vec<u8>,
    /// The same as text.
    pub pem: String,
    /// Its key.
    pub key_pem: String,
}

impl Certificate {
    /// Makes one.
    pub fn new() -> anyhow::Result<Self> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost", "127.0.0.1"].map(str::to_owned))?;
        Ok(Self {
            der: cert.der().to_vec(),
            pem: cert.pem(),
            key_pem: signing_key.serialize_pem(),
        })
    }
}

/// A private Dovecot; it ends, and its mails go, when dropped. Whoever logs in gets a mailbox of that name; the password
/// is `secret`.
pub struct Dovecot {
    folder: TempDir,
    certificate: Certificate,
    imap: u16,
    imaps: u16,
    lmtp: u16,
    process: Option<Process>,
}

impl Dovecot {
    /// Starts it on free ports. Access tokens are asked about at `introspection`, an address that a token is appended
    /// to. Blocks until it answers.
    pub fn start(introspection: Option<&str>) -> anyhow::Result<Self> {
        Self::start_on(ports(3)?, introspection)
    }

    /// Does the same on three ports: for IMAP, for IMAP by TLS, and for LMTP.
    pub fn start_on(ports: Vec<u16>, introspection: Option<&str>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("switchboard-dovecot-")
            .tempdir()?;
        let [imap, imaps, lmtp] = ports.try_into().ok().context("three ports")?;
        let mut server = Self {
            folder,
            certificate: Certificate::new()?,
            imap,
            imaps,
            lmtp,
            process: None,
        };
        server.write(introspection)?;
        server.run()?;
        Ok(server)
    }

    fn write(&self, introspection: Option<&str>) -> anyhow::Result<()> {
        let folder = self.folder.path();
        for made in ["base", "state", "mail"] {
            std::fs::create_dir(folder.join(made))?;
        }
        std::fs::write(folder.join("cert.pem"), &self.certificate.pem)?;
        std::fs::write(folder.join("key.pem"), &self.certificate.key_pem)?;
        let (user, group) = if is_root()? {
            (USER.to_owned(), USER.to_owned())
        } else {
            (own("-un")?, own("-gn")?)
        };
        let (
            place,
            Self {
                imap, imaps, lmtp, ..
            },
        ) = (folder.display(), self);
        let (mut mechanisms, mut tokens) = ("plain login", String::new());
        if let Some(url) = introspection {
            mechanisms = "plain login xoauth2";
            let asked = format!(
                "introspection_mode = get\nintrospection_url = {url}\nusername_attribute = username\n\
                 active_attribute = active\nactive_value = true\n"
            );
            std::fs::write(folder.join("oauth2.conf"), asked)?;
            tokens = format!(
                "passdb {{\n driver = oauth2\n mechanisms = xoauth2\n args = {place}/oauth2.conf\n}}\n"
            );
        }
        let configuration = format!(
            "base_dir = {place}/base\nstate_dir = {place}/state\nlog_path = {place}/dovecot.log\n\
             protocols = imap lmtp\nlisten = 127.0.0.1\n\
             ssl = yes\nssl_cert = <{place}/cert.pem\nssl_key = <{place}/key.pem\n\
             disable_plaintext_auth = no\nauth_mechanisms = {mechanisms}\nauth_failure_delay = 0\n\
             default_internal_user = {user}\ndefault_internal_group = {group}\ndefault_login_user = {user}\n\
             mail_location = maildir:{place}/mail/%u\nfirst_valid_uid = 0\n\
             mail_max_userip_connections = 100\n{tokens}\
             passdb {{\n driver = static\n args = password=secret\n}}\n\
             userdb {{\n driver = static\n args = uid={user} gid={group} home={place}/mail/%u allow_all_users=yes\n}}\n\
             service imap-login {{\n chroot =\n inet_listener imap {{\n  port = {imap}\n }}\n \
             inet_listener imaps {{\n  port = {imaps}\n }}\n}}\n\
             service lmtp {{\n inet_listener lmtp {{\n  address = 127.0.0.1\n  port = {lmtp}\n }}\n}}\n\
             service anvil {{\n chroot =\n unix_listener anvil-auth-penalty {{\n  mode = 0\n }}\n}}\n\
             namespace inbox {{\n inbox = yes\n mailbox Gesendet {{\n  special_use = \\Sent\n  auto = create\n }}\n}}\n"
        );
        std::fs::write(folder.join("dovecot.conf"), configuration)?;
        if is_root()? {
            let owner = format!("{USER}:");
            let given = Command::new("chown")
                .args(["-R", &owner])
                .arg(folder)
                .status()?;
            if !given.success() {
                bail!("there is no user {USER} to run Dovecot as (Debian: dovecot-imapd)");
            }
        }
        Ok(())
    }

    fn run(&mut self) -> anyhow::Result<()> {
        let program = program()?;
        let mut command = if is_root()? {
            let mut command = Command::new("setpriv");
            let (user, group) = (format!("--reuid={USER}"), format!("--regid={USER}"));
            command.args([&user, &group, "--clear-groups", "--"]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .arg("-F")
            .arg("-c")
            .arg(self.folder.path().join("dovecot.conf"))
            .current_dir("/");
        let log = self.folder.path().join("output");
        let mut process = Process::start("dovecot", &mut command, &log, "TERM")?;
        let imap = SocketAddr::from(([127, 0, 0, 1], self.imap));
        process.wait_until(PATIENCE, || greets(imap))?;
        self.process = Some(process);
        Ok(())
    }

    /// The port for IMAP in the clear and by STARTTLS.
    pub fn imap(&self) -> u16 {
        self.imap
    }

    /// The port for IMAP by TLS.
    pub fn imaps(&self) -> u16 {
        self.imaps
    }

    /// Its certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Ends it; connections break.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        process.stop(Duration::from_secs(10)).map(drop)
    }

    /// Starts it again on the same ports and mails.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.stop()?;
        self.run()
    }

    /// Delivers a mail to a user's inbox.
    pub fn deliver(&self, user: &str, raw: &str) -> anyhow::Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.lmtp))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut replies = BufReader::new(stream.try_clone()?);
        let raw = raw.strip_suffix("\r\n").unwrap_or(raw);
        let content = format!("{}\r\n.", raw.replace("\r\n.", "\r\n.."));
        let recipient = format!("RCPT TO:<{user}>");
        let said = [
            "",
            "LHLO tests",
            "MAIL FROM:<sender@example.com>",
            &recipient,
            "DATA",
            &content,
            "QUIT",
        ];
        for line in said {
            if !line.is_empty() {
                stream.write_all(format!("{line}\r\n").as_bytes())?;
            }
            let mut reply = String::new();
            while reply.is_empty() || reply.as_bytes().get(3) == Some(&b'-') {
                reply.clear();
                replies.read_line(&mut reply)?;
            }
            if !reply.starts_with('2') && !reply.starts_with('3') {
                bail!(
                    "Dovecot answered {reply:?} to {:?}",
                    line.get(..20).unwrap_or(line)
                );
            }
        }
        Ok(())
    }

    /// Makes the mail that contains `mark` one that Dovecot itself cannot read; readable again by `false`.
    pub fn lock(&self, user: &str, mark: &str, locked: bool) -> anyhow::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        for part in ["new", "cur"] {
            for file in std::fs::read_dir(self.mails(user).join(part))? {
                let file = file?.path();
                let content = std::fs::read(&file).unwrap_or_default();
                if String::from_utf8_lossy(&content).contains(mark) {
                    let mode = if locked { 0o000 } else { 0o600 };
                    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode))?;
                    return Ok(());
                }
            }
        }
        bail!("no mail contains {mark:?}")
    }

    /// Makes a user's inbox forget its UIDs, as a restore from a backup does. The server must not run meanwhile.
    pub fn forget_uids(&mut self, user: &str) -> anyhow::Result<()> {
        self.stop()?;
        let mails = self.mails(user);
        for file in std::fs::read_dir(&mails)? {
            let file = file?;
            let name = file.file_name().to_string_lossy().into_owned();
            if name.starts_with("dovecot.index") || name.starts_with("dovecot-uidvalidity") {
                std::fs::remove_file(file.path())?;
            }
        }
        // By itself it would take the present second for the new life, which may be that of the former one.
        let list = mails.join("dovecot-uidlist");
        let former = std::fs::read_to_string(&list)?;
        let life = former
            .split_whitespace()
            .find_map(|word| word.strip_prefix('V'));
        let life: u32 = life.context("a UIDVALIDITY")?.parse()?;
        std::fs::write(&list, format!("3 V{} N1\n", life + 1))?;
        self.run()
    }

    fn mails(&self, user: &str) -> PathBuf {
        self.folder.path().join("mail").join(user)
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // In order: its children end with it.
        let _ = self.stop();
    }
}

fn greets(address: SocketAddr) -> bool {
    let limit = Duration::from_secs(1);
    let Ok(stream) = TcpStream::connect_timeout(&address, limit) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(limit));
    let mut greeting = String::new();
    BufReader::new(stream).read_line(&mut greeting).is_ok() && greeting.starts_with("* OK")
}

fn program() -> anyhow::Result<PathBuf> {
    let named = std::env::var_os(PROGRAM).map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    named
        .into_iter()
        .chain(folders.map(|folder| folder.join("dovecot")))
        .find(|program| program.is_file())
        .with_context(|| {
            format!(
                "dovecot was not found (Debian: dovecot-imapd, dovecot-lmtpd), nor is {PROGRAM} set"
            )
        })
}

/// The name of our own user (`-un`) or its group (`-gn`).
fn own(which: &str) -> anyhow::Result<String> {
    let output = Command::new("id").arg(which).output().context("id")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
