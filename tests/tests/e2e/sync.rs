//! Responsibles kept in step between dialogs and CRM, through the services (F033-F059, X05, X06).

mod from_crm;
mod outside;
mod story;
mod to_crm;
