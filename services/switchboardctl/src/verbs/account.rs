//! Accounts.

use clap::Subcommand;
use switchboard_proto::assignment::v1::{Account, CreateAccountRequest, ListAccountsRequest};

use super::Page;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};
use crate::token::Role;

/// Verbs on accounts.
#[derive(Subcommand)]
pub(crate) enum AccountVerb {
    /// Create an account; the same again changes nothing
    Create {
        /// Slug: a-z, 0-9 and -, at most 40 characters
        slug: String,
        /// Name to show; the slug unless given
        #[arg(long, default_value = "", hide_default_value = true)]
        name: String,
        /// Language of what the system words
        #[arg(long, default_value = "en", value_parser = ["en", "uk"])]
        language: String,
    },
    /// List accounts
    List(Page),
}

impl Show for Account {
    const NAME: &'static str = "switchboard.assignment.v1.Account";
    const HEADERS: &'static [&'static str] = &["SLUG", "NAME", "LANGUAGE", "CREATED"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        vec![
            cell(&self.slug),
            cell(&self.name),
            cell(&self.language),
            cell(words::ago(self.create_time.as_ref(), view.now)).dim(),
        ]
    }
}

/// Runs a verb.
pub(crate) async fn run(verb: AccountVerb, session: &Session, view: View) -> Result<(), CliError> {
    let mut client = session.assignment(&Role::Ops).await?;
    match verb {
        AccountVerb::Create {
            slug,
            name,
            language,
        } => {
            let request = CreateAccountRequest {
                slug,
                name,
                language,
            };
            view.one(client.create_account(request).await?.into_inner().account)
        }
        AccountVerb::List(page) => {
            let ask = async |page_size, page_token| {
                let request = ListAccountsRequest {
                    page_size,
                    page_token,
                };
                let page = client.list_accounts(request).await?.into_inner();
                Ok((page.accounts, page.next_page_token))
            };
            let (accounts, next) = page.read(ask).await?;
            view.list(&accounts, &next)
        }
    }
}
