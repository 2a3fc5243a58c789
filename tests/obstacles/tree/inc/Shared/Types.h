#pragma once

typedef struct _OLDTREE_ANSWER {
  ULONG LongIsFourBytes;
  ULONG WideIsTwoBytes;
  ULONG Tag;
  ULONG Pool;
  ULONG Message;
  ULONG Worker;
} OLDTREE_ANSWER, *POLDTREE_ANSWER;
