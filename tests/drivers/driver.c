/* The list of drivers. */
#include "drivers/driver.h"

#include "tests/support/test.h"

#include <string.h>

static void test_list(void)
{
    const struct config_driver *const *configs = drivers_for_config();
    size_t n = 0;
    for (; drivers_all[n]; n++) {
        CU_ASSERT_PTR_EQUAL_FATAL(configs[n], &drivers_all[n]->config);
        CU_ASSERT_PTR_EQUAL(driver_of(configs[n]), drivers_all[n]);
        for (size_t before = 0; before < n; before++)
            CU_ASSERT_STRING_NOT_EQUAL(configs[before]->name, configs[n]->name);
    }
    CU_ASSERT_PTR_NULL(configs[n]);
}

static void test_complete(void)
{
    for (size_t i = 0; drivers_all[i]; i++) {
        const struct driver *driver = drivers_all[i];
        CU_ASSERT_TRUE(driver->config.name && driver->config.name[0]);
        CU_ASSERT_TRUE(driver->config.help && driver->config.help[0]);
        CU_ASSERT_TRUE(driver->create && driver->free && driver->prepare && driver->poll_free &&
                       driver->connect && driver->disconnect && driver->read);
    }
}

TEST_MAIN("driver", {"each driver is listed once and found by its configuration", test_list},
          {"each driver has a name and every function that must be there", test_complete})
