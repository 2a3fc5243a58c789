// The same thread, written for speed: nothing can be taken back any more that the consumer has seen.
#include "condvar.h"

int main(int argc, char** argv) { return kdpc::bench::run_peer<kdpc::bench::Condvar<kdpc::bench::Take::All>>(argc, argv); }
