/* SPDX-License-Identifier: MIT */

#include "driver/nic_check.h"

#ifdef PILAE_CHECK_NICS

#include "driver/nic.h"
#include "kernel/error.h"
#include "kernel/hart.h"
#include "kernel/log.h"
#include "kernel/page.h"
#include "kernel/trap.h"
#include "vmm/copy.h"
#include "vmm/schedule.h"

#include <string.h>

#define SENDERS    3
#define FRAMES     1000 /* of each, in the second pass */
#define BROKEN_OFF 100  /* the first is broken off when so many of the first sender are back */
#define WINDOW     300  /* that are not back yet */
#define KEPT_MAX   90   /* buffers of frames that the receiver keeps for a while */
#define PATTERN    KIB(128)

#define ETHERNET  14
#define IP_TCP    40
#define MAGIC     0x88b5 /* IEEE 802, for experiments; of long frames it is IPv4's */
#define IPV4      0x0800
#define LONG      40000
#define LONGEST   65535 /* Linux cuts longer ones */
#define LONG_SEGM 1400

/* What follows the headers, before the pattern. */
struct label {
	uint32_t pass, sender, number;
} __packed;

struct sender {
	struct nic_client client;
	uint32_t next, back;
	bool waits;
};

static struct {
	struct job job;
	bool job_queued;
	unsigned index; /* of the NIC */
	struct host_nic *nic;
	uint32_t pass;
	struct sender senders[SENDERS];
	struct nic_frame *kept[KEPT_MAX];
	unsigned kept_count, kept_buffers;
	uint64_t bytes, pieces, gets, waits, longs;
	const char *wrong;
	uint8_t *pattern;
} check;

static int step(struct job *job);

static void kick(void)
{
	if (!check.job_queued)
		schedule_job(&check.job, step);
	check.job_queued = true;
}

static uint32_t frames(void)
{
	return check.pass % 2 == 0 ? 2 * BROKEN_OFF : FRAMES;
}

/*
 * What is sent.
 */

static bool is_long(uint32_t number)
{
	return host_nic_info(check.nic)->sends.tso4 && number % 8 == 7;
}

static uint32_t size_of(unsigned sender, uint32_t number)
{
	uint32_t least = ETHERNET + sizeof(struct label);
	uint32_t most = host_nic_info(check.nic)->mtu + ETHERNET;

	if (is_long(number))
		return number % 64 == 7 ? LONGEST : LONG + number;
	return least + (number * 37 + sender * 11) % (most - least + 1);
}

static const uint8_t *pattern_of(unsigned sender, uint32_t number)
{
	return check.pattern + (number * 7 + sender) % 251;
}

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* One long TCP segment, with the sum of its pseudo header, for the device to do the rest. */
static void make_long(struct nic_buffer *buffer)
{
	static const uint8_t addresses[8] = {10, 9, 0, 1, 10, 9, 0, 2};
	uint8_t *ip = buffer->frame + ETHERNET, *tcp = ip + 20;
	uint32_t length = buffer->size - ETHERNET, sum = 6 + length - 20;

	memset(ip, 0, IP_TCP);
	put16(buffer->frame + 12, IPV4);
	ip[0] = 0x45;
	put16(ip + 2, length);
	ip[8] = 64;
	ip[9] = 6;
	memcpy(ip + 12, addresses, sizeof(addresses));
	tcp[12] = 5 << 4;
	tcp[13] = 0x10;
	for (unsigned i = 0; i < sizeof(addresses); i += 2)
		sum += (uint32_t)addresses[i] << 8 | addresses[i + 1];
	put16(tcp + 16, (sum & 0xffff) + (sum >> 16));
	buffer->header = (struct net_header){
	    .flags = NET_HEADER_NEEDS_CSUM,
	    .gso_type = NET_GSO_TCPV4,
	    .hdr_len = ETHERNET + IP_TCP,
	    .gso_size = LONG_SEGM,
	    .csum_start = ETHERNET + 20,
	    .csum_offset = 16,
	};
}

static void make(struct nic_buffer *buffer, unsigned sender, uint32_t number)
{
	static const uint8_t addresses[12] = {2, 'P', 'i', 'l', 'a', 'e', 2, 'p', 'i', 'l', 'a'};
	struct label label = {check.pass, sender, number};
	uint32_t at = ETHERNET + (is_long(number) ? IP_TCP : 0);

	memcpy(buffer->frame, addresses, sizeof(addresses));
	put16(buffer->frame + 12, MAGIC);
	if (is_long(number))
		make_long(buffer);
	memcpy(buffer->frame + at, &label, sizeof(label));
	at += sizeof(label);
	copy_bytes(buffer->frame + at, pattern_of(sender, number), buffer->size - at);
}

/* On some hart. */
static void send_one(void *argument)
{
	struct sender *sender = argument;
	unsigned index = (unsigned)(sender - check.senders);
	struct nic_buffer *buffer;
	int error = nic_buffer_get(&sender->client, size_of(index, sender->next), &buffer);

	if (error == ERR_AGAIN) {
		sender->waits = true;
		check.waits++;
	} else if (error) {
		check.wrong = error_string(error);
	} else if (++check.gets % 50 == 0) {
		nic_buffer_drop(buffer);
	} else {
		make(buffer, index, sender->next);
		check.longs += is_long(sender->next++);
		nic_buffer_send(buffer);
	}
}

static void ready(struct nic_client *client)
{
	struct sender *sender = container_of(client, struct sender, client);

	if (!sender->waits)
		check.wrong = "a client was called that did not wait";
	sender->waits = false;
	kick();
}

/*
 * What comes back.
 */

static bool has_pattern(const struct nic_frame *frame, uint32_t at, const uint8_t *pattern)
{
	for (unsigned i = 0; i < frame->piece_count; i++) {
		uint32_t size = frame->pieces[i].size;

		for (uint32_t k = at; k < size; k++) {
			if (frame->pieces[i].start[k] != *pattern++)
				return false;
			if (k % 256 == 0)
				preempt_point();
		}
		at = at > size ? at - size : 0;
	}
	return true;
}

static const char *judge(const struct nic_frame *frame, const struct label *label, uint32_t at)
{
	struct sender *sender = &check.senders[label->sender];
	uint32_t number = label->number;

	if (number != sender->back)
		return "a frame is missing";
	if (frame->size != size_of(label->sender, number))
		return "a frame has another size";
	if (is_long(number) &&
	    (frame->header.gso_type != NET_GSO_TCPV4 || frame->header.csum_start != ETHERNET + 20))
		return "a long frame's header is lost";
	if (!has_pattern(frame, at, pattern_of(label->sender, number)))
		return "a frame has other contents";
	sender->back++;
	return NULL;
}

static void release(void *frame)
{
	nic_frame_release(frame);
}

static void release_kept(void)
{
	while (check.kept_count > 0) {
		unsigned i = --check.kept_count;

		hart_call(hart_by_index(i % hart_count()), release, check.kept[i]);
		preempt_point();
	}
	check.kept_buffers = 0;
}

/* Some are kept, until they take most of the NIC's memory. */
static bool keep(struct nic_frame *frame, uint32_t number)
{
	if (number % 3 != 0)
		return true;
	check.kept[check.kept_count++] = frame;
	check.kept_buffers += frame->piece_count;
	if (check.kept_count == KEPT_MAX || check.kept_buffers >= KEPT_MAX)
		release_kept();
	return false;
}

/* What others send is none of ours, nor what is left of a pass that was broken off. */
static bool receive(void *context, struct nic_frame *frame)
{
	uint8_t head[ETHERNET + IP_TCP + sizeof(struct label)];
	uint32_t at = ETHERNET;
	struct label label;
	const char *wrong;

	(void)context;
	memset(head, 0, sizeof(head));
	nic_frame_read(frame, 0, head, (uint32_t)min_u64(sizeof(head), frame->size));
	if (memcmp(head, "\2Pilae", 6) != 0)
		return true;
	if (head[12] == IPV4 >> 8)
		at += IP_TCP;
	memcpy(&label, head + at, sizeof(label));
	if (label.pass != check.pass || label.sender >= SENDERS)
		return true;
	wrong = judge(frame, &label, at + (uint32_t)sizeof(label));
	if (wrong)
		check.wrong = wrong;
	check.bytes += frame->size;
	check.pieces += frame->piece_count;
	kick();
	return keep(frame, label.number);
}

/*
 * From pass to pass, and NIC to NIC.
 */

static bool begin_pass(void)
{
	if (host_nic_open(check.nic, "check", receive, NULL) != 0)
		return false;
	for (unsigned i = 0; i < SENDERS; i++) {
		check.senders[i] = (struct sender){
		    .client = {.nic = check.nic, .weight = 100 / (i + 1), .ready = ready},
		};
		if (nic_client_init(&check.senders[i].client) != 0)
			return false;
		preempt_point();
	}
	return true;
}

/* In the end it stays open, so that QEMU can be asked what was agreed on. */
static void end_pass(void)
{
	release_kept();
	for (unsigned i = 0; i < SENDERS; i++) {
		nic_client_cancel(&check.senders[i].client);
		nic_client_quit(&check.senders[i].client);
		preempt_point();
	}
	if (check.pass++ % 2 == 0)
		host_nic_close(check.nic);
}

static bool is_over(void)
{
	if (check.wrong)
		return true;
	if (check.pass % 2 == 0)
		return check.senders[0].back >= BROKEN_OFF;
	for (unsigned i = 0; i < SENDERS; i++) {
		if (check.senders[i].back < frames())
			return false;
	}
	return true;
}

static void report(void)
{
	const struct host_nic_info *info = host_nic_info(check.nic);
	struct host_nic_counts counts;

	host_nic_counts(check.nic, &counts);
	if (check.wrong || !host_nic_has_link(check.nic))
		log_info("not ok nic %s: %s", info->name, check.wrong ? check.wrong : "no link");
	else
		log_info("ok nic %s mac %012llx mtu %u: %llu bytes, %llu pieces, %llu long, "
			 "%llu waits, %llu errors",
			 info->name, (unsigned long long)info->mac, (unsigned)info->mtu,
			 (unsigned long long)check.bytes, (unsigned long long)check.pieces,
			 (unsigned long long)check.longs, (unsigned long long)check.waits,
			 (unsigned long long)(counts.send_errors + counts.receive_errors));
}

/* The next pass, or the next NIC; false: there are no more. */
static bool go_on(void)
{
	if (check.nic && check.pass % 2 == 0)
		report();
	if (check.pass % 2 == 0) {
		check.nic = host_nic_by_index(check.index++);
		check.wrong = NULL;
		check.bytes = check.pieces = check.waits = check.longs = 0;
	}
	if (check.nic && begin_pass())
		return true;
	log_info(check.nic ? "not ok nic: it does not open" : "nics have been checked");
	return false;
}

/* From all harts in turn; whether one could be sent. */
static bool send_some(void)
{
	bool any = false;

	for (unsigned i = 0; i < SENDERS && !check.wrong; i++) {
		struct sender *sender = &check.senders[i];

		if (sender->waits || sender->next == frames() ||
		    sender->next - sender->back >= WINDOW)
			continue;
		hart_call(hart_by_index(i % hart_count()), send_one, sender);
		any = true;
		preempt_point();
	}
	return any;
}

static int step(struct job *job)
{
	(void)job;
	if (is_over()) {
		end_pass();
		check.pass += check.wrong && check.pass % 2;
		if (!go_on())
			return 0;
	}
	check.job_queued = send_some();
	return check.job_queued ? ERR_AGAIN : 0;
}

static int first_step(struct job *job)
{
	(void)job;
	check.job_queued = false;
	check.pattern = page_alloc(page_order(PATTERN));
	for (unsigned i = 0; check.pattern && i < PATTERN; i++) {
		check.pattern[i] = (uint8_t)(i * 31 + (i >> 8) * 17);
		if (i % 1024 == 0)
			preempt_point();
	}
	if (check.pattern && go_on())
		kick();
	return 0;
}

void nic_check_begin(void)
{
	check.job_queued = true;
	schedule_job(&check.job, first_step);
}

#endif
