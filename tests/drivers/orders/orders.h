/* What the driver `orders` and its test know of each other: routines for two or three activities of a few accesses each, whose result depends on the order in
 * which these come. */
#ifndef ORDERS_H
#define ORDERS_H
#include <wdm.h>

/* All that a run leaves behind. No pointers: the same outcome is the same bytes. */
typedef struct _ORDERS_RESULT {
  LONG X, Y, Flag;
  LONG Seen[4];
  LONG Ended; /* a bit for each activity */
} ORDERS_RESULT;

typedef VOID NTAPI ORDERS_ROUTINE(VOID);

typedef struct _ORDERS_SCENARIO {
  const char* Name;
  ORDERS_ROUTINE *First, *Second, *Third; /* on processors 0, 1 and 2; NULL: nothing */
  UCHAR Interrupts;       /* the board pulses a line once: 1, on processor 0; 2, on any; ORDERS_DMA: it writes X and Flag by itself; ORDERS_TWO_CARDS: each
                             of two changes X by itself; 0: no */
  BOOLEAN Ticks;          /* the clock counts */
  UCHAR Outcomes;         /* so many there are */
  ORDERS_ROUTINE* Before; /* once, before all that; NULL: nothing */
} ORDERS_SCENARIO;

#define ORDERS_DMA 3
#define ORDERS_TWO_CARDS 4
#define ORDERS_SCENARIOS 27
#define ORDERS_OPERATIONS 9

typedef struct _ORDERS_TABLE {
  ORDERS_RESULT* Result;
  const ORDERS_SCENARIO* Scenarios;
  ORDERS_ROUTINE* const* Operations; /* of which programs can be made */
  UCHAR Vector, VectorAnywhere;
} ORDERS_TABLE;

/* The test's: DriverEntry says where everything is. */
EXTERN_C NTKERNELAPI VOID NTAPI TestOrdersTable(ORDERS_TABLE* Table);

#endif
