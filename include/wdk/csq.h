/* Cancel-safe queues; see nt/csq.h. */
#include "nt/csq.h"
