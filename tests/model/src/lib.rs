//! Models of what several services do together stand in the tests of this crate. The services are dependencies of nothing else
//! than those tests: among themselves they know their contracts alone.
