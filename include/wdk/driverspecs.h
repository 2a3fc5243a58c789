/* The annotations are in sal.h. */
#include "sal.h"
