// A thread with a deque, a mutex and a condition variable, as it is usually written.
#include "condvar.h"

int main(int argc, char** argv) { return kdpc::bench::run_peer<kdpc::bench::Condvar<kdpc::bench::Take::One>>(argc, argv); }
