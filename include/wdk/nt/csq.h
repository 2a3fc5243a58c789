/* Cancel-safe queues: the driver gives a list and a lock, these routines do the hand-off between completing and cancelling a request.
 *
 * As in the WDK this code is compiled into the driver. Tail.Overlay.DriverContext[3] of a queued request belongs to the queue: it points to the
 * context, or to the queue itself if there is none. Every routine: <= DISPATCH_LEVEL. */
#ifndef _WDK_CSQ_H
#define _WDK_CSQ_H

#include "io.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct _IO_CSQ IO_CSQ, *PIO_CSQ;

typedef struct _IO_CSQ_IRP_CONTEXT {
  ULONG Type;
  struct _IRP *Irp; /* NULL once the request has left the queue */
  struct _IO_CSQ *Csq;
} IO_CSQ_IRP_CONTEXT, *PIO_CSQ_IRP_CONTEXT;

typedef VOID NTAPI IO_CSQ_INSERT_IRP(_In_ struct _IO_CSQ *Csq, _In_ PIRP Irp);
typedef IO_CSQ_INSERT_IRP *PIO_CSQ_INSERT_IRP;
typedef NTSTATUS NTAPI IO_CSQ_INSERT_IRP_EX(_In_ struct _IO_CSQ *Csq, _In_ PIRP Irp, _In_ PVOID InsertContext);
typedef IO_CSQ_INSERT_IRP_EX *PIO_CSQ_INSERT_IRP_EX;
typedef VOID NTAPI IO_CSQ_REMOVE_IRP(_In_ struct _IO_CSQ *Csq, _In_ PIRP Irp);
typedef IO_CSQ_REMOVE_IRP *PIO_CSQ_REMOVE_IRP;
typedef PIRP NTAPI IO_CSQ_PEEK_NEXT_IRP(_In_ struct _IO_CSQ *Csq, _In_opt_ PIRP Irp, _In_opt_ PVOID PeekContext);
typedef IO_CSQ_PEEK_NEXT_IRP *PIO_CSQ_PEEK_NEXT_IRP;
typedef VOID NTAPI IO_CSQ_ACQUIRE_LOCK(_In_ struct _IO_CSQ *Csq, _Out_ PKIRQL Irql);
typedef IO_CSQ_ACQUIRE_LOCK *PIO_CSQ_ACQUIRE_LOCK;
typedef VOID NTAPI IO_CSQ_RELEASE_LOCK(_In_ struct _IO_CSQ *Csq, _In_ KIRQL Irql);
typedef IO_CSQ_RELEASE_LOCK *PIO_CSQ_RELEASE_LOCK;
typedef VOID NTAPI IO_CSQ_COMPLETE_CANCELED_IRP(_In_ struct _IO_CSQ *Csq, _In_ PIRP Irp);
typedef IO_CSQ_COMPLETE_CANCELED_IRP *PIO_CSQ_COMPLETE_CANCELED_IRP;

struct _IO_CSQ {
  ULONG Type;
  PIO_CSQ_INSERT_IRP CsqInsertIrp;
  PIO_CSQ_REMOVE_IRP CsqRemoveIrp;
  PIO_CSQ_PEEK_NEXT_IRP CsqPeekNextIrp;
  PIO_CSQ_ACQUIRE_LOCK CsqAcquireLock;
  PIO_CSQ_RELEASE_LOCK CsqReleaseLock;
  PIO_CSQ_COMPLETE_CANCELED_IRP CsqCompleteCanceledIrp;
  PVOID ReservePointer;
};

#define IO_TYPE_CSQ_IRP_CONTEXT 1
#define IO_TYPE_CSQ 2
#define IO_TYPE_CSQ_EX 3
#define WDK_CSQ static __inline__ __attribute__((unused))

/* Ends the connection between request, context and queue. Lock held. */
WDK_CSQ VOID wdk_csq_forget(PIRP Irp) {
  PIO_CSQ_IRP_CONTEXT context = (PIO_CSQ_IRP_CONTEXT)Irp->Tail.Overlay.DriverContext[3];
  if (context != NULL && context->Type == IO_TYPE_CSQ_IRP_CONTEXT) context->Irp = NULL;
  Irp->Tail.Overlay.DriverContext[3] = NULL;
}

/* The system calls this with the cancel lock held; whoever cleared the cancel routine owns the request, and that is now us. */
WDK_CSQ VOID NTAPI wdk_csq_cancel(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PIO_CSQ_IRP_CONTEXT context = (PIO_CSQ_IRP_CONTEXT)Irp->Tail.Overlay.DriverContext[3];
  PIO_CSQ queue = context->Type == IO_TYPE_CSQ_IRP_CONTEXT ? context->Csq : (PIO_CSQ)(PVOID)context;
  KIRQL irql;
  UNREFERENCED_PARAMETER(DeviceObject);
  IoReleaseCancelSpinLock(Irp->CancelIrql);
  queue->CsqAcquireLock(queue, &irql);
  queue->CsqRemoveIrp(queue, Irp);
  wdk_csq_forget(Irp);
  queue->CsqReleaseLock(queue, irql);
  queue->CsqCompleteCanceledIrp(queue, Irp);
}

WDK_CSQ NTSTATUS IoCsqInitialize(PIO_CSQ Csq, PIO_CSQ_INSERT_IRP CsqInsertIrp, PIO_CSQ_REMOVE_IRP CsqRemoveIrp,
                                 PIO_CSQ_PEEK_NEXT_IRP CsqPeekNextIrp, PIO_CSQ_ACQUIRE_LOCK CsqAcquireLock, PIO_CSQ_RELEASE_LOCK CsqReleaseLock,
                                 PIO_CSQ_COMPLETE_CANCELED_IRP CsqCompleteCanceledIrp) {
  Csq->Type = IO_TYPE_CSQ;
  Csq->CsqInsertIrp = CsqInsertIrp;
  Csq->CsqRemoveIrp = CsqRemoveIrp;
  Csq->CsqPeekNextIrp = CsqPeekNextIrp;
  Csq->CsqAcquireLock = CsqAcquireLock;
  Csq->CsqReleaseLock = CsqReleaseLock;
  Csq->CsqCompleteCanceledIrp = CsqCompleteCanceledIrp;
  Csq->ReservePointer = NULL;
  return STATUS_SUCCESS;
}

WDK_CSQ NTSTATUS IoCsqInitializeEx(PIO_CSQ Csq, PIO_CSQ_INSERT_IRP_EX CsqInsertIrp, PIO_CSQ_REMOVE_IRP CsqRemoveIrp,
                                   PIO_CSQ_PEEK_NEXT_IRP CsqPeekNextIrp, PIO_CSQ_ACQUIRE_LOCK CsqAcquireLock, PIO_CSQ_RELEASE_LOCK CsqReleaseLock,
                                   PIO_CSQ_COMPLETE_CANCELED_IRP CsqCompleteCanceledIrp) {
  IoCsqInitialize(Csq, (PIO_CSQ_INSERT_IRP)(PVOID)CsqInsertIrp, CsqRemoveIrp, CsqPeekNextIrp, CsqAcquireLock, CsqReleaseLock, CsqCompleteCanceledIrp);
  Csq->Type = IO_TYPE_CSQ_EX;
  return STATUS_SUCCESS;
}

/* A failure of the insertion callback of an Ex queue is returned; the request is then still the caller's. */
WDK_CSQ NTSTATUS IoCsqInsertIrpEx(PIO_CSQ Csq, PIRP Irp, PIO_CSQ_IRP_CONTEXT Context, PVOID InsertContext) {
  NTSTATUS status = STATUS_SUCCESS;
  BOOLEAN cancelled = FALSE;
  KIRQL irql;
  if (Context != NULL) {
    Context->Type = IO_TYPE_CSQ_IRP_CONTEXT;
    Context->Irp = Irp;
    Context->Csq = Csq;
  }
  Irp->Tail.Overlay.DriverContext[3] = Context != NULL ? (PVOID)Context : (PVOID)Csq;
  Csq->CsqAcquireLock(Csq, &irql);
  if (Csq->Type == IO_TYPE_CSQ_EX) status = ((PIO_CSQ_INSERT_IRP_EX)(PVOID)Csq->CsqInsertIrp)(Csq, Irp, InsertContext);
  else Csq->CsqInsertIrp(Csq, Irp);
  if (!NT_SUCCESS(status)) {
    wdk_csq_forget(Irp);
    Csq->CsqReleaseLock(Csq, irql);
    return status;
  }
  IoMarkIrpPending(Irp);
  IoSetCancelRoutine(Irp, wdk_csq_cancel);
  /* Cancelled before there was a routine to call: whoever clears the routine first finishes the request. */
  if (Irp->Cancel && IoSetCancelRoutine(Irp, NULL) != NULL) {
    Csq->CsqRemoveIrp(Csq, Irp);
    wdk_csq_forget(Irp);
    cancelled = TRUE;
  }
  Csq->CsqReleaseLock(Csq, irql);
  if (cancelled) Csq->CsqCompleteCanceledIrp(Csq, Irp);
  return STATUS_SUCCESS;
}

WDK_CSQ VOID IoCsqInsertIrp(PIO_CSQ Csq, PIRP Irp, PIO_CSQ_IRP_CONTEXT Context) {
  (void)IoCsqInsertIrpEx(Csq, Irp, Context, NULL);
}

/* The next request that is not being cancelled, or NULL. */
WDK_CSQ PIRP IoCsqRemoveNextIrp(PIO_CSQ Csq, PVOID PeekContext) {
  PIRP irp;
  KIRQL irql;
  Csq->CsqAcquireLock(Csq, &irql);
  for (irp = Csq->CsqPeekNextIrp(Csq, NULL, PeekContext); irp != NULL; irp = Csq->CsqPeekNextIrp(Csq, irp, PeekContext)) {
    if (IoSetCancelRoutine(irp, NULL) == NULL) continue; /* its cancel routine runs already and waits for our lock */
    Csq->CsqRemoveIrp(Csq, irp);
    wdk_csq_forget(irp);
    break;
  }
  Csq->CsqReleaseLock(Csq, irql);
  return irp;
}

/* The request that was inserted with this context, or NULL if it has left the queue. */
WDK_CSQ PIRP IoCsqRemoveIrp(PIO_CSQ Csq, PIO_CSQ_IRP_CONTEXT Context) {
  PIRP irp;
  KIRQL irql;
  Csq->CsqAcquireLock(Csq, &irql);
  irp = Context->Irp;
  if (irp != NULL && IoSetCancelRoutine(irp, NULL) != NULL) {
    Csq->CsqRemoveIrp(Csq, irp);
    wdk_csq_forget(irp);
  } else {
    irp = NULL;
  }
  Csq->CsqReleaseLock(Csq, irql);
  return irp;
}

#ifdef __cplusplus
}
#endif

#endif
