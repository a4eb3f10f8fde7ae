/* SPDX-License-Identifier: MIT */
/* unit: shell/cmd_net.c shell/command.c shell/print.c shell/completion.c */
#include "tests/unit/command_fixture.h"

#include "vmm/net.h"

static const struct command table[] = {
    {"net", "", net_commands, 0, NULL},
    {NULL, NULL, NULL, 0, NULL},
};

static struct net nets[2];
static struct net_port ports[3];
static unsigned net_total;
static struct switch_counters counters[SWITCH_PORTS_MAX];

struct net *net_next(const struct net *net)
{
	unsigned next = net ? (unsigned)(net - nets) + 1 : 0;

	return next < net_total ? &nets[next] : NULL;
}

void switch_counts(struct net_switch *net, uint16_t port, struct switch_counters *its)
{
	assert_ptr_equal(net, &nets[0].table);
	*its = counters[port];
}

static void plug(unsigned n, uint16_t index, const char *vm, const char *name, uint64_t address)
{
	ports[n] = (struct net_port){
	    .net = &nets[0], .vm = vm, .name = name, .index = index, .address = address};
	nets[0].ports[index] = &ports[n];
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	typed_at = table;
	memset(nets, 0, sizeof(nets));
	memset(counters, 0, sizeof(counters));
	net_total = 2;
	nets[0].name = "lan0";
	nets[1].name = "lan1";
	plug(0, 0, "web", "eth", 0x0200ac10ab01);
	plug(1, 5, "", "virtio-net0", 0);
	plug(2, SWITCH_PORTS_MAX - 1, "db", "eth", 0x0200ac10ab02);
	ports[0].open = true;
	ports[0].counts = (struct net_port_counts){1, 2048, 3, 4};
	counters[0] = (struct switch_counters){5, 6144, 7, 8, 9};
	return 0;
}

static void test_documented(void **state)
{
	(void)state;
	check_documented(net_commands, "net ");
}

static void test_list(void **state)
{
	(void)state;
	expect("net list",
	       "lan0\n"
	       "  web/eth 0200ac10ab01: sent 5, 6 KiB; received 1, 2 KiB; dropped: 3 no room, "
	       "7 forged, 8 flooding, 9 for nobody, 4 malformed\n"
	       "  uplink virtio-net0: sent 0, 0 KiB; received 0, 0 KiB; dropped: 0 no room, "
	       "0 forged, 0 flooding, 0 for nobody, 0 malformed\n"
	       "  db/eth 0200ac10ab02: sent 0, 0 KiB; received 0, 0 KiB; dropped: 0 no room, "
	       "0 forged, 0 flooding, 0 for nobody, 0 malformed\n"
	       "lan1\n");
	net_total = 0;
	expect("net list", "there are none\n");
	run_json("net list --json");
	assert_string_equal(printed, "[]\n");
}

static void test_json(void **state)
{
	(void)state;
	nets[0].ports[5] = nets[0].ports[SWITCH_PORTS_MAX - 1] = NULL;
	run_json("net list --json");
	assert_string_equal(printed,
			    "[{\"switch\": \"lan0\", \"vm\": \"web\", \"port\": \"eth\", "
			    "\"address\": 2201910029057, \"open\": true, \"sent\": 5, "
			    "\"sent_bytes\": 6144, \"received\": 1, \"received_bytes\": 2048, "
			    "\"no_room\": 3, \"forged\": 7, \"flooding\": 8, \"for_nobody\": 9, "
			    "\"malformed\": 4}]\n");
}

/* Nodes of a system file are named as they like, and guests send as much as they like. */
static void test_hostile(void **state)
{
	static char name[3000];

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	nets[0].name = "l\033[2J\nok";
	nets[1].name = name;
	ports[0].vm = name;
	ports[0].name = name;
	ports[2].name = "\x9b"
			"2J";
	memset(&ports[0].counts, 0xff, sizeof(ports[0].counts));
	memset(&counters[0], 0xff, sizeof(counters[0]));
	run("net list");
	expect_part("l?[2J?ok\n");
	expect_part("  db/?2J 0200ac10ab02: ");
	expect_part("18446744073709551615 for nobody, 18446744073709551615 malformed\n  uplink");
	assert_true(printed_length > 3 * sizeof(name));
	run_json("net list --json");
	expect_part("\"switch\": \"l\\u001b[2J\\u000aok\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_documented, setup),
	    cmocka_unit_test_setup(test_list, setup),
	    cmocka_unit_test_setup(test_json, setup),
	    cmocka_unit_test_setup(test_hostile, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
