// Cancel-safe queues: each request leaves the queue exactly once, by whoever cleared its cancel routine first.
#include <gtest/gtest.h>

#include <vector>

#include <wdm.h>

namespace {

struct Packet {
  IRP irp{};
  IO_STACK_LOCATION stack{};
  Packet() { irp.Tail.Overlay.CurrentStackLocation = &stack; }
};

struct Queue {
  IO_CSQ csq;  // first: a queue is found from its CSQ
  LIST_ENTRY list;
  bool locked = false;
  std::vector<PIRP> cancelled;
  Queue() {
    InitializeListHead(&list);
    IoCsqInitialize(&csq, insert, remove, peek, acquire, release, complete);
  }

  static Queue& of(PIO_CSQ csq) { return *reinterpret_cast<Queue*>(csq); }
  static VOID NTAPI insert(PIO_CSQ csq, PIRP irp) { InsertTailList(&of(csq).list, &irp->Tail.Overlay.ListEntry); }
  static VOID NTAPI remove(PIO_CSQ, PIRP irp) { RemoveEntryList(&irp->Tail.Overlay.ListEntry); }
  static PIRP NTAPI peek(PIO_CSQ csq, PIRP irp, PVOID) {
    LIST_ENTRY* head = &of(csq).list;
    LIST_ENTRY* next = irp == nullptr ? head->Flink : irp->Tail.Overlay.ListEntry.Flink;
    return next == head ? nullptr : CONTAINING_RECORD(next, IRP, Tail.Overlay.ListEntry);
  }
  static VOID NTAPI acquire(PIO_CSQ csq, PKIRQL irql) {
    EXPECT_FALSE(of(csq).locked);
    of(csq).locked = true;
    *irql = PASSIVE_LEVEL;
  }
  static VOID NTAPI release(PIO_CSQ csq, KIRQL) { of(csq).locked = false; }
  static VOID NTAPI complete(PIO_CSQ csq, PIRP irp) {
    EXPECT_FALSE(of(csq).locked) << "completion happens without the lock";
    of(csq).cancelled.push_back(irp);
  }
};

TEST(CancelSafeQueue, RequestsLeaveInTheOrderOfTheList) {
  Queue queue;
  Packet first, second;
  IoCsqInsertIrp(&queue.csq, &first.irp, nullptr);
  IoCsqInsertIrp(&queue.csq, &second.irp, nullptr);
  EXPECT_NE(first.stack.Control & SL_PENDING_RETURNED, 0);
  EXPECT_NE(first.irp.CancelRoutine, nullptr);
  EXPECT_EQ(IoCsqRemoveNextIrp(&queue.csq, nullptr), &first.irp);
  EXPECT_EQ(first.irp.CancelRoutine, nullptr);
  EXPECT_EQ(IoCsqRemoveNextIrp(&queue.csq, nullptr), &second.irp);
  EXPECT_EQ(IoCsqRemoveNextIrp(&queue.csq, nullptr), nullptr);
}

TEST(CancelSafeQueue, AContextFindsItsRequestOnce) {
  Queue queue;
  Packet first, second;
  IO_CSQ_IRP_CONTEXT context;
  IoCsqInsertIrp(&queue.csq, &first.irp, nullptr);
  IoCsqInsertIrp(&queue.csq, &second.irp, &context);
  EXPECT_EQ(IoCsqRemoveIrp(&queue.csq, &context), &second.irp);
  EXPECT_EQ(IoCsqRemoveIrp(&queue.csq, &context), nullptr);
  EXPECT_EQ(IoCsqRemoveNextIrp(&queue.csq, nullptr), &first.irp);
}

TEST(CancelSafeQueue, ARequestCancelledBeforeItCameIsCompletedAtOnce) {
  Queue queue;
  Packet packet;
  packet.irp.Cancel = TRUE;
  IoCsqInsertIrp(&queue.csq, &packet.irp, nullptr);
  EXPECT_EQ(queue.cancelled, std::vector<PIRP>{&packet.irp});
  EXPECT_TRUE(IsListEmpty(&queue.list));
}

TEST(CancelSafeQueue, ARequestWhoseCancelRoutineWasTakenIsLeftToIt) {
  Queue queue;
  Packet first, second;
  IoCsqInsertIrp(&queue.csq, &first.irp, nullptr);
  IoCsqInsertIrp(&queue.csq, &second.irp, nullptr);
  EXPECT_NE(IoSetCancelRoutine(&first.irp, nullptr), nullptr);  // as IoCancelIrp does before it calls it
  EXPECT_EQ(IoCsqRemoveNextIrp(&queue.csq, nullptr), &second.irp);
  EXPECT_EQ(IoCsqRemoveNextIrp(&queue.csq, nullptr), nullptr);
  EXPECT_EQ(queue.list.Flink, &first.irp.Tail.Overlay.ListEntry);
}

}  // namespace
