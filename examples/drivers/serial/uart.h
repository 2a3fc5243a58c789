/* Registers of a 16550 UART. */
#ifndef UART_H
#define UART_H

#define UART_DATA 0 /* RBR, THR; DLL */
#define UART_IER 1  /* and DLM */
#define UART_IIR 2
#define UART_FCR 2
#define UART_LCR 3
#define UART_MCR 4
#define UART_LSR 5
#define UART_MSR 6
#define UART_SCR 7

#define IER_RECEIVED 0x01
#define IER_HOLDING_EMPTY 0x02
#define IER_LINE_STATUS 0x04
#define IER_MODEM_STATUS 0x08
#define IER_ALL 0x0f

#define IIR_NONE 0x01
#define IIR_CAUSE 0x0f
#define IIR_MODEM_STATUS 0x00
#define IIR_HOLDING_EMPTY 0x02
#define IIR_RECEIVED 0x04
#define IIR_LINE_STATUS 0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFOS 0xc0

#define FCR_ENABLE 0x01
#define FCR_RESET_RECEIVER 0x02
#define FCR_RESET_TRANSMITTER 0x04

#define LCR_WORD_LENGTH 0x03
#define LCR_TWO_STOPS 0x04
#define LCR_PARITY 0x08
#define LCR_EVEN 0x10
#define LCR_STICK 0x20
#define LCR_BREAK 0x40
#define LCR_DIVISOR 0x80

#define MCR_DTR 0x01
#define MCR_RTS 0x02
#define MCR_OUT2 0x08 /* on PCs: lets the interrupt through */

#define LSR_READY 0x01
#define LSR_OVERRUN 0x02
#define LSR_PARITY 0x04
#define LSR_FRAMING 0x08
#define LSR_BREAK 0x10
#define LSR_HOLDING_EMPTY 0x20

#define MSR_CTS_CHANGED 0x01
#define MSR_DSR_CHANGED 0x02
#define MSR_RING_ENDED 0x04
#define MSR_DCD_CHANGED 0x08
#define MSR_CTS 0x10
#define MSR_LINES 0xf0

#endif
