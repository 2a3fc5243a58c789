/* Lists whose links live in the entries. Nothing here locks. A list head is an entry that stands for no element.
 *
 * As on current Windows, a removal or insertion that meets inconsistent links stops the machine (bug check 0x139, parameter 3). */
#ifndef _WDK_LIST_H
#define _WDK_LIST_H

#include "../ntdef.h"

#ifdef __cplusplus
extern "C" {
#endif
/* Called with the entry whose neighbours do not point back at it. Does not return. */
DECLSPEC_NORETURN NTKERNELAPI VOID NTAPI RtlFailFast(_In_ ULONG Code);
#ifdef __cplusplus
}
#endif

#define FAST_FAIL_CORRUPT_LIST_ENTRY 3
#define FatalListEntryError(p1, p2, p3) RtlFailFast(FAST_FAIL_CORRUPT_LIST_ENTRY)

WDK_INLINE VOID InitializeListHead(PLIST_ENTRY ListHead) {
  ListHead->Flink = ListHead;
  ListHead->Blink = ListHead;
}

WDK_INLINE BOOLEAN IsListEmpty(const LIST_ENTRY *ListHead) {
  return ListHead->Flink == ListHead;
}

WDK_INLINE BOOLEAN RemoveEntryList(PLIST_ENTRY Entry) { /* TRUE: the list is empty now */
  PLIST_ENTRY next = Entry->Flink, previous = Entry->Blink;
  if (next->Blink != Entry || previous->Flink != Entry) FatalListEntryError(previous, Entry, next);
  previous->Flink = next;
  next->Blink = previous;
  return next == previous;
}

WDK_INLINE PLIST_ENTRY RemoveHeadList(PLIST_ENTRY ListHead) {
  PLIST_ENTRY entry = ListHead->Flink;
  RemoveEntryList(entry);
  return entry;
}

WDK_INLINE PLIST_ENTRY RemoveTailList(PLIST_ENTRY ListHead) {
  PLIST_ENTRY entry = ListHead->Blink;
  RemoveEntryList(entry);
  return entry;
}

WDK_INLINE VOID InsertTailList(PLIST_ENTRY ListHead, PLIST_ENTRY Entry) {
  PLIST_ENTRY last = ListHead->Blink;
  if (last->Flink != ListHead) FatalListEntryError(last, ListHead, last->Flink);
  Entry->Flink = ListHead;
  Entry->Blink = last;
  last->Flink = Entry;
  ListHead->Blink = Entry;
}

WDK_INLINE VOID InsertHeadList(PLIST_ENTRY ListHead, PLIST_ENTRY Entry) {
  PLIST_ENTRY first = ListHead->Flink;
  if (first->Blink != ListHead) FatalListEntryError(ListHead, first, first->Blink);
  Entry->Flink = first;
  Entry->Blink = ListHead;
  first->Blink = Entry;
  ListHead->Flink = Entry;
}

WDK_INLINE VOID AppendTailList(PLIST_ENTRY ListHead, PLIST_ENTRY ListToAppend) { /* ListToAppend is an element, not a head */
  PLIST_ENTRY end = ListHead->Blink;
  ListHead->Blink->Flink = ListToAppend;
  ListHead->Blink = ListToAppend->Blink;
  ListToAppend->Blink->Flink = ListHead;
  ListToAppend->Blink = end;
}

WDK_INLINE VOID PushEntryList(PSINGLE_LIST_ENTRY ListHead, PSINGLE_LIST_ENTRY Entry) {
  Entry->Next = ListHead->Next;
  ListHead->Next = Entry;
}

WDK_INLINE PSINGLE_LIST_ENTRY PopEntryList(PSINGLE_LIST_ENTRY ListHead) {
  PSINGLE_LIST_ENTRY first = ListHead->Next;
  if (first != NULL) ListHead->Next = first->Next;
  return first;
}

#endif
