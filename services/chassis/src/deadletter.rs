//! Written beside this.
